"""Reads how list prices changed between two ranges."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from flexcredits_schemas.calendar import local_date, midnight
from flexcredits_schemas.identity import OTHER
from flexcredits_schemas.rating.card import ANY_FEATURE, Rate, RateCard

from query_api.calendar import Days, span_of, split_at
from query_api.db.session import ReadSession
from query_api.explain.domain.items import FeatureKey
from query_api.explain.domain.prices import Piece, PriceChange, average_prices, compare_prices, find_instants
from query_api.explain.queries import select_changing_rates
from query_api.explain.ranges import Compared
from query_api.turns import compute
from query_api.usage.domain.series import PickedSeries, Series, SeriesColumns

SumSeries = Callable[[ReadSession, PickedSeries, Sequence[Days]], Awaitable[dict[date, SeriesColumns]]]
"""Usage of series by the first day of each range."""

ONE_DAY = timedelta(days=1)


async def read_prices(
    session: ReadSession, series: PickedSeries, sum_series: SumSeries, compared: Compared, now: datetime
) -> tuple[dict[FeatureKey, PriceChange], list[FeatureKey]]:
    """The features whose prices changed between or in the ranges; and those whose prices changed by several factors."""
    zone = session.organization.time_zone
    begin = midnight(min(days.first for days in compared), zone)
    end = min(now, max(end_of(days, zone, now) for days in compared))
    rates = await select_changing_rates(session, begin, end)
    card = RateCard()
    card.add(rates)
    features = {FeatureKey(one.product, *one.feature) for one in series.by_id.values()} if rates else set()
    units = find_units(features, rates)
    changes = await compute(
        session.organization_id, len(units), find_changes, card, units, begin.timestamp(), end.timestamp()
    )
    if not changes:
        return {}, []
    changed = {number: one for number, one in series.by_id.items() if FeatureKey(one.product, *one.feature) in changes}
    days = {local_date(datetime.fromtimestamp(at, now.tzinfo), zone) for found in changes.values() for at in found}
    cuts = sorted(days | {day + ONE_DAY for day in days})  # a day with a change is a piece of its own
    read = PieceReader(session, PickedSeries(changed, series.of_all), sum_series, card, units, now)
    before, after = [await read.read(stretch, cuts, changes) for stretch in compared]
    return compare(before, after)


class Pieces(NamedTuple):
    """The pieces of a range by feature, and the features with uses in it."""

    of_feature: Mapping[FeatureKey, Sequence[Piece]]
    used: set[FeatureKey]


class PieceReader(NamedTuple):
    """Reads the credits and the prices of features in the pieces of a range."""

    session: ReadSession
    series: PickedSeries
    sum_series: SumSeries
    card: RateCard
    units: Mapping[FeatureKey, Sequence[str]]
    now: datetime

    async def read(self, stretch: Days, cuts: Sequence[date], features: Iterable[FeatureKey]) -> Pieces:
        parts, zone = split_at(stretch, cuts), self.session.organization.time_zone
        sums = await self.sum_series(self.session, self.series, parts)
        of_feature: dict[FeatureKey, list[Piece]] = {feature: [] for feature in features}
        used = set[FeatureKey]()
        for part in parts:
            since, until = midnight(part.first, zone).timestamp(), end_of(part, zone, self.now).timestamp()
            if until <= since:
                continue  # it has not begun
            credits = add_up(sums.get(part.first), self.series.by_id, used)
            prices = await compute(self.session.organization_id, len(of_feature), self.price, of_feature, since, until)
            for feature, pieces in of_feature.items():
                pieces.append(Piece(max(1, round(until - since)), credits.get(feature, 0), prices[feature]))
        return Pieces(of_feature, used)

    def price(
        self, features: Iterable[FeatureKey], since: float, until: float
    ) -> dict[FeatureKey, Mapping[str, Fraction]]:
        return {feature: average_prices(self.card, feature, self.units[feature], since, until) for feature in features}


def compare(before: Pieces, after: Pieces) -> tuple[dict[FeatureKey, PriceChange], list[FeatureKey]]:
    """Of features that both ranges used."""
    prices, unpriced = dict[FeatureKey, PriceChange](), list[FeatureKey]()
    for feature in sorted(before.used & after.used):
        change = compare_prices(before.of_feature[feature], after.of_feature[feature])
        if change is None:
            unpriced.append(feature)
        else:
            prices[feature] = change
    return prices, unpriced


def find_units(features: Iterable[FeatureKey], rates: Iterable[Rate]) -> dict[FeatureKey, list[str]]:
    """The units in which the features may have a price, sorted. Features without one are left out, and so are features beyond
    the limit of new ones, whose rates are those of their own names."""
    of_rates = dict[tuple[str, str, str], set[str]]()
    for rate in rates:
        of_rates.setdefault((rate.product, rate.feature_kind, rate.feature), set()).add(rate.unit)
    found = dict[FeatureKey, list[str]]()
    for feature in features:
        names = () if feature.feature == OTHER else (feature.feature, ANY_FEATURE)
        units = set[str]().union(*(of_rates.get((*feature[:2], name), ()) for name in names))
        if units:
            found[feature] = sorted(units)
    return found


def find_changes(
    card: RateCard, units: Mapping[FeatureKey, Sequence[str]], begin: float, end: float
) -> dict[FeatureKey, list[float]]:
    """The times at which a price of each feature changes; features without such a time are left out."""
    found = {feature: find_instants(card, feature, its_units, begin, end) for feature, its_units in units.items()}
    return {feature: times for feature, times in found.items() if times}


def end_of(days: Days, zone: str | None, now: datetime) -> datetime:
    """The end of the days, or `now` if they have not ended."""
    return min(midnight(span_of(days).ends_on, zone), now)


def add_up(columns: SeriesColumns | None, series: Mapping[int, Series], used: set[FeatureKey]) -> dict[FeatureKey, int]:
    """Credits of each feature. Adds those with uses to `used`."""
    sums: dict[FeatureKey, int] = {}
    for number, credits, uses in columns.rows() if columns else ():
        one = series.get(number)
        if one is not None:
            feature = FeatureKey(one.product, *one.feature)
            sums[feature] = sums.get(feature, 0) + credits
            if uses:
                used.add(feature)
    return sums
