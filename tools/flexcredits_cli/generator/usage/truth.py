"""What must be counted of what was sent: the sums that the system has to arrive at. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from flexcredits_cli.generator.company.rates import micro_credits
from flexcredits_cli.generator.usage.disturbances import COUNTED, Fate, Sending


class Truth:
    """Sums over sendings that passed by."""

    def __init__(self) -> None:
        self.micro: Counter[tuple[str, str]] = Counter()
        """Micro-credits by organization and product."""
        self.uses: Counter[str] = Counter()
        """Usage events that count, by organization; a correction is not a use."""
        self.fates: Counter[Fate] = Counter()
        self.malformed: set[object] = set()
        """Ids of the malformed events."""

    def watch(self, sendings: Iterable[Sending]) -> Iterator[Sending]:
        """The same sendings, each added when it is taken."""
        for sending in sendings:
            self.add(sending)
            yield sending

    def add(self, sending: Sending) -> None:
        fate, event = sending.fate, sending.event
        self.fates[fate] += 1
        if fate is Fate.MALFORMED:
            self.malformed.add(event["id"])
        if fate not in COUNTED:
            return
        self.micro[event["subject"], event["data"]["product"]] += micro_credits(event)
        self.uses[event["subject"]] += fate is not Fate.CORRECTION

    def report(self) -> str:
        """Number and share of each fate, on one line."""
        whole = sum(number for fate, number in self.fates.items() if fate is not Fate.FACT)
        parts = [
            f"{self.fates[fate]:,} {fate} ({self.fates[fate] / max(1, whole):.2%})"
            for fate in Fate
            if fate != Fate.FACT and self.fates[fate]
        ]
        return f"{whole:,} events: {', '.join(parts)}"
