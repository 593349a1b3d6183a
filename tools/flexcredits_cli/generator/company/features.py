"""Categories of features for the whole deployment, each with an effective date. Pure."""

from collections.abc import Iterator
from datetime import date, timedelta

from flexcredits_cli.generator.company.events import Event, build_catalog_event, midnight_of
from flexcredits_cli.generator.company.shape import day_of_season, season_of
from flexcredits_cli.generator.company.vocabulary import (
    BEGINNING,
    CATEGORIES,
    CHANGING_CATEGORIES,
    LAUNCHES,
    SEASONS_USED,
)


def build_features(first: date, last: date) -> Iterator[Event]:
    """Catalog events in effect by `last`. A launched feature gets its category at the next launch."""
    for (kind, feature), category in CATEGORIES.items():
        yield from build_feature(kind, feature, category, BEGINNING)
    for season in range(season_of(first) - SEASONS_USED, season_of(last) + 1):
        for (kind, feature), (categories, day) in CHANGING_CATEGORIES.items():
            begins = day_of_season(season, day)
            if begins <= last:
                yield from build_feature(kind, feature, categories[season % 2], begins)
        yield from build_feature("feature", LAUNCHES[(season - 1) % len(LAUNCHES)], "Labs", day_of_season(season))


def build_feature(kind: str, feature: str, category: str, effective_from: date) -> Iterator[Event]:
    for product in ("assistant", "agents"):
        data = {
            "product": product, "feature_kind": kind, "feature": feature,
            "display_name": feature.replace("_", " ").capitalize(), "category": category,
            "effective_from": f"{effective_from}",
        }  # fmt: skip
        # The event's time is the day before: in zones east of UTC the effective day begins while UTC has the day before.
        yield build_catalog_event("feature", None, midnight_of(effective_from - timedelta(days=1)), data)
