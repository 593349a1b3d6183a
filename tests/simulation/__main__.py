"""python -m simulation aggregator|alerter FIRST [MANY]: the histories of so many seeds; says which did not hold, and why."""

import hashlib
import importlib
import logging
import sys

import structlog

FAILURES_MAX = 3
"""After so many seeds nobody needs to see more."""


def main(service: str, first: str, many: str = "1") -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    tell = importlib.import_module(f"simulation.{service}").tell
    steps, failed, digest = 0, 0, hashlib.blake2b(digest_size=8)
    for seed in range(int(first), int(first) + int(many)):
        story = tell(seed)
        steps += story.world.made
        digest.update(repr(sorted(story.postgres.tables.items())).encode() + b"%d" % story.world.made)
        if story.violations:
            failed += 1
            print(f"seed {seed}: " + "\n  ".join(story.violations[:5]))  # noqa: T201
            if failed == FAILURES_MAX:
                break
    print(f"{service}: {many} histories from seed {first}, {steps} steps, {failed} failed, {digest.hexdigest()}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
