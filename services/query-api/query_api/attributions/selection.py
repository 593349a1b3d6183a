"""Selects attributions by a request's filters, as far as the organization shows them."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from query_api.attributions.domain.groups import find_parents, find_subtree
from query_api.attributions.domain.spans import PeopleGroup, PeopleMode, PeopleSettings, Span
from query_api.attributions.queries import select_attributions, select_people_groups, select_people_settings
from query_api.attributions.schemas import WhoQuery
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem, invalid_parameter

NOT_NOW = (
    "This organization shows usage by group only. Then `membership` must be `then`: compared with it, today's groups would "
    "show what a person used who has moved."
)


class Selection(NamedTuple):
    """What a request's filters select, in the session's snapshot."""

    settings: PeopleSettings
    spans: Sequence[Span]
    groups: Sequence[PeopleGroup]
    """Of the directory; empty if nothing needs them."""
    is_filtered: bool
    """Whether `spans` are those of the filters; False: of all attributions."""
    group: str | None
    subtree: frozenset[str]
    """The group and the groups below it."""
    label: tuple[str, str] | None
    needs_five: bool
    """Whether the organization shows only groups and the request filters by group or label. `spans` are then those of all
    attributions, of which cells.read_filtered() takes what may be shown."""

    def matches(self, span: Span) -> bool:
        """Whether the filters by group and label select the span."""
        is_in_group = self.group is None or span.group_id in self.subtree
        return is_in_group and (self.label is None or span.filtered == self.label[1])


async def select_who(
    session: ReadSession, query: WhoQuery, today: date, *, with_groups: bool = False, label_key: str | None = None
) -> Selection:
    """The attributions that a request selects. `with_groups` and `label_key`: spans have their group and the label's value.

    Raises ApiProblem.
    """
    settings = await select_people_settings(session)
    if query.actor is not None:
        refuse_people(settings.people)
    check_texts(query)
    label = read_label(query.label, settings)
    with_groups = with_groups or query.group is not None
    if with_groups:
        refuse_now(query, settings)
    groups = await select_people_groups(session) if with_groups else []
    subtree = () if query.group is None else find_subtree(query.group, find_parents(groups))
    needs_five = settings.people == "groups_only" and (query.group is not None or label is not None)
    key, value = label or ("", None)
    spans = await select_attributions(
        session, query.membership if with_groups else "none", today, actor=query.actor, label_key=label_key,
        groups=None if query.group is None or needs_five else subtree, label=(key, None if needs_five else value),
    )  # fmt: skip
    if query.actor is not None:
        spans = [span for span in spans if not span.removed]  # only the sum of removed people is shown
    is_filtered = query.names_who and not needs_five
    return Selection(settings, spans, groups, is_filtered, query.group, frozenset(subtree), label, needs_five)


def refuse_now(query: WhoQuery, settings: PeopleSettings) -> None:
    """Raises ApiProblem if a request divides usage by today's groups while only groups are shown."""
    if query.membership == "now" and settings.people == "groups_only":
        raise ApiProblem("too-few-people", NOT_NOW)


def check_texts(query: WhoQuery) -> None:
    """Raises ApiProblem."""
    for parameter, text in (("actor", query.actor), ("group", query.group), ("label", query.label)):
        if text is not None and "\0" in text:  # Postgres cannot store NUL in text
            raise invalid_parameter(parameter, "must not contain the character NUL")


def refuse_people(
    people: PeopleMode,
    text: str = "This organization shows usage by group only, not by person. A Super Admin can change this.",
) -> None:
    """Raises ApiProblem with this text if the organization does not show single people."""
    if people == "groups_only":
        raise ApiProblem("people-not-shown", text)


def too_few_people() -> ApiProblem:
    return ApiProblem(
        "too-few-people",
        "This organization shows usage of at least five people together, and fewer used this. Choose a longer range or fewer "
        "filters, or ask a Super Admin.",
    )


def read_label(text: str | None, settings: PeopleSettings) -> tuple[str, str] | None:
    """Key and value. Raises ApiProblem for a key that is not declared."""
    if text is None:
        return None
    key, colon, value = text.partition(":")
    if not colon:
        raise invalid_parameter("label", "must be KEY:VALUE")
    check_label_key("label", key, settings)
    return key, value


def check_label_key(parameter: str, key: str, settings: PeopleSettings) -> None:
    """Raises ApiProblem for a key that is not declared."""
    if key not in settings.label_keys:
        declared = ", ".join(f"`{each}`" for each in settings.label_keys) or "none"
        raise invalid_parameter(parameter, f"the organization has not declared this key; its keys: {declared}")
