"""Receipts and problems for the verdict of a request."""

from fastapi import Response
from msgspec import UNSET
from runtime.http.problems import MEDIA_TYPE

from ingest.domain.acceptance import Reason, Verdict
from ingest.http.responses import IngestProblem, Receipt, RejectedEvent


def receipt(verdict: Verdict) -> Receipt:
    """The receipt for a durable verdict. Raises IngestProblem when no event was accepted."""
    rejected = [
        RejectedEvent(index=event.index, id=event.id, pointer=event.pointer, detail=event.detail)
        for event in verdict.rejected
    ]
    if is_outside_scope(verdict):
        raise IngestProblem("outside-scope", rejected[0].detail, rejected=rejected)
    if rejected and not verdict.accepted and not verdict.ignored:
        where = f" at {rejected[0].pointer}" if rejected[0].pointer else ""
        raise IngestProblem("invalid-events", f"{rejected[0].detail}{where}", rejected=rejected)
    return Receipt(accepted=verdict.accepted, rejected=rejected, duplicates=verdict.duplicates or UNSET)


def is_outside_scope(verdict: Verdict) -> bool:
    """Whether the key covers no event of the request: then the request is refused like one with a wrong key, and leaves
    no dead letters."""
    return (
        bool(verdict.rejected)
        and not verdict.accepted
        and not verdict.ignored
        and all(event.reason is Reason.OUTSIDE_SCOPE for event in verdict.rejected)
    )


def problem_response(problem: IngestProblem, status: int | None = None) -> Response:
    """The problem as problem+json; `status` replaces its own."""
    return Response(problem.encode(status), status or problem.status, problem.headers, media_type=MEDIA_TYPE)
