"""What a protocol gives to the endpoint."""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Named
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from fastapi import Response
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from msgspec import Raw
from starlette.datastructures import Headers

from ingest.domain.acceptance import Verdict
from ingest.http.responses import IngestProblem

Elements = Iterable[Raw] | Iterable[Foreign | Unreadable]


class Outcome(NamedTuple):
    """A request whose accepted events and dead letters are durable.

    `elements` is what the adapter read from the request; a generator is exhausted. `quota` are headers for the answer.
    """

    verdict: Verdict
    elements: Elements
    quota: Named[str, str]


class Adapter(Protocol):
    """One protocol at its paths. The endpoint does the rest: key, quota, memory, mapping, Kafka and metrics."""

    @property
    def name(self) -> str:
        """The protocol as mappings name it, or `native`, whose events need no mapping."""

    @property
    def paths(self) -> Sequence[str]: ...

    @property
    def body_bytes_max(self) -> int | None:
        """Limit of the body, as received and after decompression. None: the service's."""

    def operation(self, path: str) -> dict[str, Any]:
        """The description of a path: arguments of a FastAPI route."""

    def check_headers(self, headers: Headers) -> None:
        """Refuse a request before its body is read. Raises IngestProblem."""

    def read(self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None) -> Elements:
        """The events of a body, in their order: raw ones of our own types, or foreign ones. What the mapping does not
        read may be left out of them.

        A generator keeps few decoded events in memory. Raises IngestProblem, also while it is iterated.
        """

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        """The answer in the protocol's own form, also for a partly refused request. Raises IngestProblem if the
        protocol answers it like a refused one."""

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        """The answer to a request that was refused whole."""
