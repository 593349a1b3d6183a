"""python -m simulation aggregator|alerter FIRST [MANY [FAILURES]]: runs MANY seeds from FIRST and prints the seeds that failed, with
reasons. It stops after so many failures."""

import hashlib
import importlib
import logging
import sys

import structlog


def main(service: str, first: str, many: str = "1", failures: str = "3") -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run = importlib.import_module(f"simulation.{service}").run
    steps, failed, digest = 0, 0, hashlib.blake2b(digest_size=8)
    for seed in range(int(first), int(first) + int(many)):
        scenario = run(seed)
        steps += scenario.world.step_count
        digest.update(repr(sorted(scenario.postgres.tables.items())).encode() + b"%d" % scenario.world.step_count)
        if scenario.violations:
            failed += 1
            print(f"seed {seed}: " + "\n  ".join(scenario.violations[:5]))  # noqa: T201
            if failed == int(failures):
                break
    print(f"{service}: {many} histories from seed {first}, {steps} steps, {failed} failed, {digest.hexdigest()}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
