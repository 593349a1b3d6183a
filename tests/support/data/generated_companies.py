"""Companies of generated usage, for tests that inspect them."""

from functools import cache

from flexcredits_cli.generator.company.cast import DEMO, Company
from flexcredits_cli.generator.simulate import past_of, read_at
from flexcredits_cli.generator.usage.disturbances import Sending
from flexcredits_cli.generator.usage.history import Past

AT = "2026-11-24T09:00:00Z"


def play(company: Company, at: str = AT, months: int = 8, seed: int = 1) -> tuple[Past, list[Sending]]:
    past = past_of(seed, company, read_at(at), months)
    return past, list(past.sendings())


@cache
def demo_company() -> tuple[Past, list[Sending]]:
    """Eight months of the demo company; created once, do not change it."""
    return play(DEMO)
