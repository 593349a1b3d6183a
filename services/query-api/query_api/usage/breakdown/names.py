"""What requests for one organization's usage share: its series, names, and trees of rows. Kept in memory by version."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import NamedTuple

import numpy as np
from fastapi import Request
from flexcredits_schemas.events import FeatureKind, Product
from flexcredits_schemas.identity import OTHER

from query_api.db.session import ReadSession
from query_api.db.shares import Shares
from query_api.usage.breakdown.domain.tree import WITH_AGENTS, WITH_CATEGORIES, LeafUsage, ViewTree
from query_api.usage.domain.catalog import Agent, Categories, FeatureEntry, Features, View
from query_api.usage.domain.series import Numbers, PickedSeries, Series, SeriesColumns
from query_api.usage.queries import select_agents, select_features, select_series, select_used_surfaces
from query_api.usage.versions import NamesVersion, UsageVersion

SERIES_MAX = 500_000
"""Series of all kept entries, of some 400 bytes each."""
EPOCHS_MAX = 32
"""Kept for a tree: leaves of all series between two days on which a category changes."""


class TreeKey(NamedTuple):
    view: View
    categories: Categories
    by_surface: bool


ProductKey = tuple[int, Product, tuple[FeatureKind, ...]]
"""The organization, a product, and kinds of feature."""


class Leaves(NamedTuple):
    """The leaf of each series for usage on the same day, in parallel arrays."""

    series_ids: Numbers
    """Sorted."""
    leaves: Numbers

    def of(self, columns: SeriesColumns) -> LeafUsage:
        """The usage of these series by leaf. Leaves other series of the organization out."""
        if not len(self.series_ids):
            return LeafUsage(*(np.zeros(0, np.int64) for _ in range(3)))
        places = np.searchsorted(self.series_ids, columns.series_ids)
        places[places == len(self.series_ids)] = 0
        is_own = self.series_ids[places] == columns.series_ids
        return LeafUsage(self.leaves[places[is_own]], columns.credits[is_own], columns.events[is_own])

    def only(self, series: PickedSeries) -> "Leaves":
        is_picked = np.isin(self.series_ids, np.array(list(series.by_id), np.int64))
        return Leaves(self.series_ids[is_picked], self.leaves[is_picked])


@dataclass(eq=False)
class NamedView:
    """A view's tree, and the leaf of each series in it."""

    today: date
    agents: Mapping[str, Agent]
    features: Features
    tree: ViewTree
    has_categories: bool
    token: int = field(default_factory=count().__next__)
    """Of this view only, as that of SeriesColumns."""
    _leaves: OrderedDict[date, Leaves] = field(default_factory=OrderedDict)

    def leaves(self, series: Mapping[int, Series], day: date) -> Leaves:
        """The leaf of each series for usage on `day`. `series` are all of the view."""
        epoch = self.features.epoch(day) if self.has_categories else date.min
        leaves = self._leaves.get(epoch)
        if leaves is None:
            leaves = self._leaves[epoch] = self.find_leaves(series, day)
            if len(self._leaves) > EPOCHS_MAX:
                self._leaves.popitem(last=False)
        return leaves

    def find_leaves(self, series: Mapping[int, Series], day: date) -> Leaves:
        """As `leaves`, for any series."""
        ids = sorted(series)
        return Leaves(np.array(ids, np.int64), np.array([self.tree.leaf(series[one], day) for one in ids], np.int64))


@dataclass
class ProductNames:
    """The series of some kinds of feature of a product, and the catalog entries of the features."""

    version: tuple[object, ...]
    product: Product
    kinds: tuple[FeatureKind, ...]
    series: PickedSeries
    entries: Sequence[FeatureEntry]
    used_surfaces: list[str] | None = None
    """None while a surface of the series has no counted usage. Once all have, only a rebuild could change it."""
    views: dict[TreeKey, NamedView] = field(default_factory=dict)

    async def read_surfaces(self, session: ReadSession) -> list[str]:
        """Surfaces with counted usage in any period, sorted, as in the session's snapshot."""
        if self.used_surfaces is not None:
            return self.used_surfaces
        used = await select_used_surfaces(session, self.product, self.kinds)
        shown = [surface for surface in used if surface != OTHER]
        if len(used) == len({one.surface for one in self.series.by_id.values()}):
            self.used_surfaces = shown
        return shown

    def view(self, key: TreeKey, today: date, agents: Mapping[str, Agent]) -> NamedView:
        """The tree of a view with these agents, and names and categories of `today`."""
        kept = self.views.get(key)
        if kept is None or kept.today != today or kept.agents != agents:
            features = Features(self.entries, today, key.categories)
            tree = ViewTree(key.view, features, agents, by_surface=key.by_surface)
            kept = self.views[key] = NamedView(today, agents, features, tree, key.view in WITH_CATEGORIES)
        return kept


class Names:
    """The names of the organizations that were read last, in this process.

    An entry is used only in a session whose snapshot has its version, and its key begins with the id of the session's
    organization, so row-level security applies to every row in it.
    """

    def __init__(self, series_max: int = SERIES_MAX) -> None:
        self._products: dict[ProductKey, ProductNames] = {}
        self._shares: Shares[ProductKey] = Shares(series_max, lambda key: key[0])
        self._agents: OrderedDict[int, tuple[tuple[object, ...], Mapping[str, Agent]]] = OrderedDict()

    async def read(
        self, session: ReadSession, version: UsageVersion, product: Product, kinds: tuple[FeatureKind, ...]
    ) -> ProductNames:
        """Names as in the session's snapshot, of which `version` is."""
        counters = counters_of(version)
        names_version = (counters.series, counters.newest_event_offset, counters.newest_reload, version.rebuilt)
        if session.organization_id is None:  # no rows, and nothing to keep them by
            return ProductNames(names_version, product, kinds, PickedSeries({}, 0), (), [])
        key = (session.organization_id, product, kinds)
        kept = self._products.get(key)
        if kept is None or kept.version != names_version:
            entries = await select_features(session, product, kinds)
            series = await select_series(session, [product], kinds)
            kept = ProductNames(names_version, product, kinds, series, entries)
            self._products[key] = kept
            self._shares.put(key, len(series.by_id))
            self._forget_excess()
        elif key in self._products:  # else it was forgotten meanwhile
            self._shares.use(key)
        return kept

    async def read_agents(self, session: ReadSession, version: UsageVersion, view: View) -> Mapping[str, Agent]:
        """Agents as in the session's snapshot, if the view shows agents. Equal agents are the same object."""
        if view not in WITH_AGENTS or session.organization_id is None:
            return {}
        counters = counters_of(version)
        agents_version = (counters.sightings, counters.newest_event_offset, counters.newest_reload, version.rebuilt)
        kept_version, kept = self._agents.get(session.organization_id, ((), {}))
        if kept_version != agents_version:
            agents = await select_agents(session)
            kept = kept if agents == kept else agents
            self._agents[session.organization_id] = (agents_version, kept)
            self._forget_excess()
        self._agents.move_to_end(session.organization_id)
        return kept

    def _forget_excess(self) -> None:
        while len(self._products) > 1 and (forgotten := self._shares.forget_excess()) is not None:
            del self._products[forgotten]
        while len(self._agents) > max(1, len(self._products)):
            self._agents.popitem(last=False)


def counters_of(version: UsageVersion) -> NamesVersion:
    assert version.names is not None, "select_usage_version was called without names"
    return version.names


def names_of(request: Request) -> Names:
    names: Names = request.app.state.names
    return names
