"""Who is behind a use: the attribution (actor, group and labels) and the run. Pure."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from flexcredits_schemas.events import UsageData
from flexcredits_schemas.identity import run_identity_of

_encode = msgspec.json.Encoder(order="sorted").encode
NO_LABELS = "{}"
OTHER_KIND = "other"
OTHER_LABELS = '{"":""}'
"""Kind of actor and labels of an attribution that stands for others (see Admission). An event cannot name them."""


class Attribution(NamedTuple):
    """Actor, group and labels of a use, a row of usage_attributions. "" if there is no actor or no group."""

    organization: str
    actor_kind: str
    actor_id: str
    group_id: str
    labels: str
    """A JSON object, sorted by key."""

    @property
    def identity(self) -> bytes:
        """BLAKE2b-128 of the parts: the key of the row inside its organization."""
        return blake2b(_encode(self[1:]), digest_size=16).digest()

    def fold_part(self) -> "Attribution":
        """Stands for all labels of the actor and group. Without labels, the attribution itself."""
        return self if self.labels == NO_LABELS else self._replace(labels=OTHER_LABELS)

    def fold_all(self) -> "Attribution":
        """Stands for all attributions of the organization."""
        return Attribution(self.organization, OTHER_KIND, "", "", OTHER_LABELS)

    def counts_as(self, parts: Sequence[str]) -> bool:
        """Whether usage of this attribution may be recorded under `parts`, the parts of an attribution in Postgres."""
        return tuple(parts) in (self[1:], self.fold_part()[1:], self.fold_all()[1:])


class Run(NamedTuple):
    """The run of a use. A correction has only the identity of its original's run, and "" for the ids."""

    identity: bytes
    run_id: str
    parent_id: str
    """"" if the event gives none."""


def attribution_of(organization: str, data: UsageData) -> Attribution | None:
    """None if the event names no actor, no group and no labels."""
    actor, labels = data.actor, data.labels
    if actor is None and data.group is None and not labels:
        return None
    kind, actor_id = (actor.kind, actor.id) if actor else ("", "")
    return Attribution(
        organization, kind, actor_id, data.group or "", _encode(labels).decode() if labels else NO_LABELS
    )


def run_of(data: UsageData) -> Run | None:
    run = data.run
    return Run(run_identity_of(run.id), run.id, run.parent_id or "") if run else None
