"""Labels of export lines: names, categories and states, from the same source as the tables. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from query_api.calendar import Days, month_of
from query_api.exports.domain.cells import CellRules
from query_api.usage.domain.catalog import Agent, Feature, Features, agent_as_now, id_of

ONE_DAY = timedelta(days=1)


class UsedSeries(NamedTuple):
    series_id: int
    product: str
    feature: Feature
    agent_id: str  # "" if no agent is given
    surface: str  # "" if unknown


class Label(NamedTuple):
    """A series' texts in a range of days with one category. None is an empty cell."""

    series_id: int
    first: date
    last: date
    product: str
    kind: str
    category: str | None
    category_now: str | None
    feature: str | None
    feature_name: str
    agent_id: str | None
    agent_name: str | None
    agent_status: str | None
    surface: str | None


class Catalog(NamedTuple):
    """Names of features and agents."""

    features: Mapping[str, Features]  # by product
    agents: Mapping[str, Agent]
    today: date


def sort_series(series: Iterable[UsedSeries]) -> list[UsedSeries]:
    """In the order of lines of a day, which does not depend on series ids."""
    return sorted(series, key=lambda each: each[1:])


def build_labels(series: Iterable[UsedSeries], days: Days, catalog: Catalog) -> list[Label]:
    """One label per series and day of `days`."""
    labels = []
    for series_id, product, feature, agent_id, surface in sort_series(series):
        features = catalog.features[product]
        name, status = agent_cells(product, agent_id, catalog.agents)
        for first, last in features.stretches(feature, days):
            labels.append(
                Label(
                    series_id,
                    first,
                    last,
                    product,
                    feature.feature_kind,
                    features.category(feature, first),
                    features.category(feature, catalog.today),
                    id_of(feature.feature) or None,
                    features.name(feature),
                    id_of(agent_id) or None,
                    name,
                    status,
                    id_of(surface) or None,
                )
            )
    return labels


class LabelBook:
    """Labels of series on any of `days`. Those of a series are made once, and kept."""

    def __init__(self, days: Days, catalog: Catalog) -> None:
        self._days, self._catalog = days, catalog
        self._of: dict[int, list[Label]] = {}

    def find(self, series: Sequence[UsedSeries]) -> list[Label]:
        """In the order of the series."""
        new = [each for each in series if each.series_id not in self._of]
        for label in build_labels(new, self._days, self._catalog):
            self._of.setdefault(label.series_id, []).append(label)
        return [label for each in series for label in self._of[each.series_id]]


def label_cells(label: Label, rules: CellRules) -> Label:
    """The label with texts escaped by these rules."""
    return label._replace(
        category=rules.text(label.category),
        category_now=rules.text(label.category_now),
        feature=rules.id(label.feature),
        feature_name=rules.text(label.feature_name) or "",
        agent_id=rules.id(label.agent_id),
        agent_name=rules.text(label.agent_name),
        surface=rules.id(label.surface),
    )


def agent_cells(product: str, agent_id: str, agents: Mapping[str, Agent]) -> tuple[str | None, str | None]:
    """An agent's current name and state, as in the tables. Unsaved agents have no name."""
    if not agent_id and product != "agents":
        return None, None
    agent = agent_as_now(agent_id, agents)
    return (None if agent.status == "unsaved" else agent.name), agent.status


def months_of(days: Days, used: Days | None) -> list[Days]:
    """The part of `days` within `used`, split by calendar month."""
    if used is None or used.last < days.first or days.last < used.first:
        return []
    first, last = max(days.first, used.first), min(days.last, used.last)
    months = []
    while first <= last:
        end = min(last, month_of(first).last)
        months.append(Days(first, end))
        if end == date.max:
            break
        first = end + ONE_DAY
    return months


def fixed_pieces(days: Days, most: int) -> Iterator[Days]:
    """`days` in pieces of at most `most` days, or one. They end on the same days of a month whatever `days` are."""
    size = 1 << min(5, max(1, most).bit_length() - 1)
    first = days.first
    while True:
        end = min(month_of(first).last.day, ((first.day - 1) // size + 1) * size)
        last = min(days.last, first.replace(day=end))
        yield Days(first, last)
        if last == days.last:
            return
        first = last + ONE_DAY
