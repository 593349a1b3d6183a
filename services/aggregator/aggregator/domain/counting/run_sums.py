"""Sums columns to rows of usage_runs. Pure."""

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.counting.cells import Array
from aggregator.domain.counting.places import UNKNOWN, Places
from aggregator.domain.people.runs import Runs, RunSum, add_run

_AGENT = 4
"""Place of the agent in a series."""


def fold_run_columns(columns: UsageColumns, rows: NDArray[np.intp], credits: Array, places: Places, into: Runs) -> None:
    """Add these rows, which are new in the ledger, to the sums of their runs. `credits` are their micro-credits."""
    has_run = columns.has_run[rows]
    rows, credits = rows[has_run], credits[has_run]
    if not len(rows):
        return
    head, occurred_us = columns.head[rows], columns.occurred_us[rows]
    organization, run = places.organization[head], columns.run[rows]
    high, low = run.view(">u8")[::2].astype(np.uint64), run.view(">u8")[1::2].astype(np.uint64)
    attribution = places.attribution_of(columns.attribution[rows])
    attribution[attribution == UNKNOWN] = 0
    # The first row of each run then has the least time, agent and attribution.
    order = np.lexsort((attribution, _ranks(head, places), occurred_us, low, high, organization))
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in (organization, high, low)])
    starts = np.flatnonzero(is_first)
    ids = columns.run_ids[rows[order]].tolist()
    parents: dict[int, bytes] = {}
    for group, (_, parent) in zip((np.cumsum(is_first) - 1).tolist(), ids, strict=True):
        if parent is not None:
            parents[group] = max(parent, parents.get(group, b""))
    firsts = order[starts]
    sums = zip(
        organization[firsts].tolist(), run[firsts].tolist(), head[firsts].tolist(), attribution[firsts].tolist(),
        occurred_us[firsts].tolist(), np.maximum.reduceat(occurred_us[order], starts).tolist(),
        np.add.reduceat(credits[order], starts).tolist(), np.diff(starts, append=len(rows)).tolist(), strict=True,
    )  # fmt: skip
    for group, (number, identity, at, who, first_us, last_us, amount, events) in enumerate(sums):
        first = first_us, places.agent_of(at), who
        run_id, parent_id = ids[starts[group]][0].decode(), parents.get(group, b"").decode()
        add_run(into, (number, identity), RunSum(amount, events, first, last_us, run_id, parent_id))


def _ranks(head: NDArray[np.int32], places: Places) -> Array:
    """By row, the place of its agent in the order of ids."""
    heads, inverse = np.unique(head, return_inverse=True)
    agents = [places.agent_of(number) for number in heads.tolist()]
    ranks = {agent: rank for rank, agent in enumerate(sorted(set(agents)))}
    return np.array([ranks[agent] for agent in agents], np.int64)[inverse]
