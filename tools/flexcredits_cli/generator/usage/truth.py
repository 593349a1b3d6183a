"""Expected results: the sums that the system must count for the sent events. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from flexcredits_cli.generator.company.rates import micro_credits
from flexcredits_cli.generator.usage.disturbances import COUNTED, Kind, Sending


class Truth:
    """Sums over the sendings so far."""

    def __init__(self) -> None:
        self.micro: Counter[tuple[str, str]] = Counter()
        """Micro-credits by organization and product."""
        self.uses: Counter[str] = Counter()
        """Counted usage events by organization, without corrections."""
        self.kinds: Counter[Kind] = Counter()
        self.malformed: set[object] = set()
        """Ids of the malformed events."""

    def watch(self, sendings: Iterable[Sending]) -> Iterator[Sending]:
        """Yield the same sendings, and add each when it is consumed."""
        for sending in sendings:
            self.add(sending)
            yield sending

    def add(self, sending: Sending) -> None:
        kind, event = sending.kind, sending.event
        self.kinds[kind] += 1
        if kind is Kind.MALFORMED:
            self.malformed.add(event["id"])
        if kind not in COUNTED:
            return
        self.micro[event["subject"], event["data"]["product"]] += micro_credits(event)
        self.uses[event["subject"]] += kind is not Kind.CORRECTION

    def report(self) -> str:
        """One line with the number and share of each kind."""
        whole = sum(number for kind, number in self.kinds.items() if kind is not Kind.CATALOG)
        parts = [
            f"{self.kinds[kind]:,} {kind} ({self.kinds[kind] / max(1, whole):.2%})"
            for kind in Kind
            if kind != Kind.CATALOG and self.kinds[kind]
        ]
        return f"{whole:,} events: {', '.join(parts)}"
