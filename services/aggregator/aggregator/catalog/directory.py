"""Events that only write rows of their own: members, actors, groups, agents and features. Their order among each other does
not matter, so many are written at once. Pure."""

from collections.abc import Iterator

from flexcredits_schemas.events import Actor, Agent, Event, Feature, Group, Member

Write = tuple[str, tuple[object, ...]]
"""A statement and its parameters, without the organization."""


def writes_of(event: Event, offset: int) -> list[Write]:
    """What such an event writes. Nothing for other types."""
    return [*_writes(event, offset)]


def _writes(event: Event, offset: int) -> Iterator[Write]:
    at = (event.time, offset)
    match event:
        case Member(data=member):
            yield "upsert_member", (member.email.lower(), member.name, member.role, member.removed, *at)
        case Actor(data=actor):
            email = actor.email.lower() if actor.email else None
            yield "upsert_actor", (actor.id, actor.display_name, email, actor.removed, actor.erased, *at)
            if actor.groups is not None:
                day = actor.effective_from or event.time.date()
                yield "upsert_actor_groups", (actor.id, day, list(dict.fromkeys(actor.groups)), *at)
        case Group(data=group):
            owners = sorted({email.lower() for email in group.owner_emails or []})
            yield "upsert_people_group", (group.id, group.name, group.parent, owners, *at)
        case Agent(data=agent):
            yield "upsert_agent", (agent.id, agent.state, agent.name, agent.owner, *at)
        case Feature(data=feature):
            key = (feature.product, feature.feature_kind, feature.feature, feature.effective_from)
            yield "upsert_feature", (*key, feature.display_name, feature.category, *at)
