"""Errors of an HTTP interface as RFC 9457 has them: application/problem+json, whose `type` is stable, for programs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple

MEDIA_TYPE = "application/problem+json"
BASE = "/problems/"
"""What every `type` begins with."""


class ProblemType(NamedTuple):
    status: int
    title: str


class ProblemError(Exception):
    """A request that is answered with a problem. A service's subclass has its types by name, without BASE.

    `members` of the answer are the standard ones and those that the type has beside them.
    """

    types: ClassVar[Mapping[str, ProblemType]]

    def __init__(self, problem: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.problem = problem
        self.status, title = self.types[problem]
        self.headers = headers or {}
        self.members = {"type": BASE + problem, "title": title, "status": self.status, "detail": detail, **members}


def describe_problems(types: Mapping[str, ProblemType], status: int) -> str:
    """For an interface's description: the status, and the types that have it."""
    names = [f"`{BASE}{name}`: {kind.title}." for name, kind in types.items() if kind.status == status]
    return f"{HTTPStatus(status).phrase}. {' '.join(names)}"
