"""One call of a model provider, whose usage becomes one event."""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple, TypeVar

from flexcredits_client.errors import InvalidUsage
from flexcredits_client.providers.read import Collected, ReadUsage, UnknownUsage
from flexcredits_client.providers.rules import RULES, UNITS

Answer = TypeVar("Answer")
Chunk = TypeVar("Chunk")


class Fields(NamedTuple):
    """What `usage` got: the required fields of `record`, and how to read."""

    organization: str
    product: str
    feature_kind: str
    feature: str | None
    provider: str | None = None
    units: Collection[str] = UNITS


class Call:
    """Collects the usage of one or several answers; the event has the sum."""

    def __init__(self, fields: Fields) -> None:
        """Raises ValueError for an unknown provider."""
        if fields.provider is not None and fields.provider not in RULES:
            raise ValueError(f"there is no provider {fields.provider!r}, only {', '.join(RULES)}")
        self.fields = fields
        self._open: list[Collected] = []

    def read(self, answer: Answer) -> Answer:
        """Take the usage of an answer, and return the answer."""
        collected = Collected()
        collected.add(answer)
        self._open.append(collected)
        return answer

    def stream(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Pass the events of a stream on, and take the usage that they have. A stream that ends early counts as far as
        it was read."""
        collected = Collected()
        self._open.append(collected)
        for chunk in chunks:
            collected.add(chunk)
            yield chunk

    async def astream(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]:
        """As `stream`, for asyncio."""
        collected = Collected()
        self._open.append(collected)
        async for chunk in chunks:
            collected.add(chunk)
            yield chunk

    @property
    def without_usage(self) -> int:
        """Answers that had no usage, such as an OpenAI stream without `include_usage`."""
        return sum(each.is_empty for each in self._open)

    def total(self) -> ReadUsage:
        """The sum of all answers with a usage, and the first one's provider and model. Raises UnknownUsage."""
        usages = [each.read(self.fields.provider, self.fields.units) for each in self._open if not each.is_empty]
        if not usages:
            raise UnknownUsage("nothing was read that has a usage")
        quantities: dict[str, Decimal | int] = {}
        for usage in usages:
            for unit, number in usage.quantities.items():
                quantities[unit] = quantities.get(unit, 0) + number
        return usages[0]._replace(quantities=quantities)

    def result(self) -> "Result":
        """Raises InvalidUsage."""
        missing = f"{self.without_usage} answers had no usage" if self.without_usage else ""
        try:
            usage = self.total()
        except UnknownUsage as error:
            return Result("", {}, missing or str(error))
        if not (feature := self.fields.feature or usage.model):
            raise InvalidUsage(f"answers of {usage.provider} do not name their model: give `feature` to usage()")
        return Result(feature, usage.quantities, missing)


class Result(NamedTuple):
    """What a call becomes. Without quantities there is no event."""

    feature: str
    quantities: dict[str, Decimal | int]
    missing: str
    """Why usage is not in the event; "" if everything is."""
