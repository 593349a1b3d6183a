"""python -m simulation aggregator|alerter FIRST [MANY]: runs MANY seeds from FIRST and prints the seeds that failed, with reasons."""

import hashlib
import importlib
import logging
import sys

import structlog

FAILURES_MAX = 3
"""Stop after this many failed seeds."""


def main(service: str, first: str, many: str = "1") -> int:
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
            if failed == FAILURES_MAX:
                break
    print(f"{service}: {many} histories from seed {first}, {steps} steps, {failed} failed, {digest.hexdigest()}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
