"""The bodies of our answers, from which the OpenAPI description is generated."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from runtime.http.problems import ProblemError, ProblemType


class RejectedEvent(Struct, kw_only=True):
    """One event that is not counted, and why. Its neighbours are not affected; it stands in the dead letters."""

    index: Annotated[int, Meta(ge=0, description="Position in the request, from 0.")]
    id: Annotated[str | None, Meta(description="The event's id, where it could be read.")]
    pointer: Annotated[str, Meta(description="RFC 6901, relative to the event; empty for the whole of it.")]
    detail: Annotated[str, Meta(description="For people.")]


class Receipt(Struct, kw_only=True):
    """Every accepted event is on all in-sync replicas."""

    accepted: Annotated[int, Meta(ge=0)]
    rejected: list[RejectedEvent]
    duplicates: Annotated[int, Meta(ge=1, description="Further copies of an event, if any.")] | UnsetType = UNSET


class Problem(Struct, kw_only=True):
    """RFC 9457."""

    type: Annotated[str, Meta(description="Stable, for programs.")]
    title: str
    status: int
    detail: Annotated[str, Meta(description="For people.")]
    outcome: (
        Annotated[
            Literal["not_accepted", "unknown"],
            Meta(description="With 503. unknown: part may be written. Send all again with the same ids either way."),
        ]
        | UnsetType
    ) = UNSET
    rejected: Annotated[list[RejectedEvent], Meta(description="With 403 and 422: every event.")] | UnsetType = UNSET


PROBLEM_TYPES = {
    "malformed-body": ProblemType(400, "The body cannot be read"),
    "unauthorized": ProblemType(401, "No valid API key"),
    "outside-scope": ProblemType(403, "The key covers none of the events"),
    "no-mapping": ProblemType(403, "The key has no mapping for this protocol"),
    "not-found": ProblemType(404, "Nothing is here"),
    "method-not-allowed": ProblemType(405, "Not with this method"),
    "body-timeout": ProblemType(408, "The body did not arrive in time"),
    "too-large": ProblemType(413, "The request is too large"),
    "unsupported-media-type": ProblemType(415, "Not a content type that is read here"),
    "unsupported-content-encoding": ProblemType(415, "Not a content encoding that is read here"),
    "invalid-events": ProblemType(422, "No event can be accepted"),
    "over-quota": ProblemType(429, "Too many events"),
    "internal": ProblemType(500, "Something is broken here"),
    "unavailable": ProblemType(503, "Not possible at the moment"),
}


class IngestProblem(ProblemError):
    """A request that is answered with a problem; `problem` is a key of PROBLEM_TYPES."""

    types = PROBLEM_TYPES

    def encode(self, status: int | None = None) -> bytes:
        """The body of the answer; `status` replaces the problem's own."""
        return msgspec.json.encode(Problem(**{**self.members, "status": status or self.status}))
