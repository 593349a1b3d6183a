"""Errors of an HTTP interface in the form of RFC 9457: application/problem+json with a `type` that is stable for
programs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple

MEDIA_TYPE = "application/problem+json"
BASE = "/problems/"
"""The prefix of every `type`."""
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names of RFC 9110 that http.HTTPStatus has from Python 3.13 on: a description must not depend on the Python."""


class ProblemType(NamedTuple):
    status: int
    title: str


class ProblemError(Exception):
    """A request that is answered with a problem. The subclass of a service lists its types by name, without BASE.

    The answer has the standard members and the given further `members`.
    """

    types: ClassVar[Mapping[str, ProblemType]]

    def __init__(self, problem: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.problem = problem
        self.status, title = self.types[problem]
        self.headers = headers or {}
        self.members = {"type": BASE + problem, "title": title, "status": self.status, "detail": detail, **members}


def describe_problems(types: Mapping[str, ProblemType], status: int) -> str:
    """A text for the description of an interface: the status, and the problem types that have it."""
    names = [f"`{BASE}{name}`: {kind.title}." for name, kind in types.items() if kind.status == status]
    return f"{_RENAMED.get(status) or HTTPStatus(status).phrase}. {' '.join(names)}"
