"""Sums of runs: rows of usage_runs. Pure."""

from typing import NamedTuple

from aggregator.domain.people.attribution import Run

Runs = dict[tuple[int, bytes], "RunSum"]
"""By number of the organization and identity of the run."""
_NEVER = 2**63 - 1, "", 0


class RunSum(NamedTuple):
    """What uses and corrections add to a run. Any order of any parts joins to the same sum."""

    credits: int
    """Micro-credits."""
    events: int
    """Corrections are in credits and not in events. If there are none, the ids are empty and the times have no meaning."""
    first: tuple[int, str, int]
    """The least of the uses: time in microseconds since 1970, agent or "", number of the attribution or 0."""
    last_us: int
    run_id: str
    parent_id: str
    """The largest one, "" if none is given."""


def sum_of_use(run: Run, credits: int, occurred_us: int, agent_id: str, attribution_id: int | None) -> RunSum:
    return RunSum(credits, 1, (occurred_us, agent_id, attribution_id or 0), occurred_us, run.run_id, run.parent_id)


def sum_of_correction(credits: int) -> RunSum:
    return RunSum(credits, 0, _NEVER, 0, "", "")


def join_runs(one: RunSum, other: RunSum) -> RunSum:
    return RunSum(
        one.credits + other.credits,
        one.events + other.events,
        min(one.first, other.first),
        max(one.last_us, other.last_us),
        one.run_id or other.run_id,
        max(one.parent_id, other.parent_id),
    )


def add_run(into: Runs, key: tuple[int, bytes], part: RunSum) -> None:
    """Add to the sum of a run."""
    known = into.get(key)
    into[key] = part if known is None else join_runs(known, part)
