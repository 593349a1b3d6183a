"""Fixtures for all tests: real Kafka and PostgreSQL once per session, a fresh database and fresh topics per test."""

import asyncio
import logging
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import flexcredits_schemas.zones  # noqa: F401 - zoneinfo uses the locked rules from here on, also in oracles
import pytest
from hypothesis import HealthCheck, settings
from runtime.observability.logs import configure_logs
from support.infra import stack as real
from support.infra.containers import ONLY_CONTAINERS
from support.infra.stack import Database, Topics
from support.infra.turns import longest_first, unit_of
from xdist.scheduler import LoadScopeScheduling

configure_logs("test")  # through logging, as in the services, so that each test sees the ERROR logs of its code
left_out: list[str] = []
SERVERS = {"kafka_bootstrap", "postgres_dsn", "stack", "demo"}
"""Fixtures of a real Kafka or Postgres, and of a whole stack."""
NAMED_AT_MOST = 100


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests that use a real Kafka or Postgres through any fixture; a process of several gets the longest first. In the
    containers' lane, skip those with an embedded one."""
    for item in items:
        if isinstance(item, pytest.Function) and SERVERS & set(item.fixturenames):
            item.add_marker("servers")
        marker = item.get_closest_marker("embedded")
        if marker is not None and ONLY_CONTAINERS:
            item.add_marker(pytest.mark.skip(reason=f"no container: {marker.args[0]}"))
    yield  # `-m` chooses
    if hasattr(config, "workerinput"):
        items[:] = longest_first(items)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    left_out.extend(item.nodeid for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of several: give its list to the one that prints the summary. Each has the same list."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = left_out


class ByServers(LoadScopeScheduling):
    """Gives a process one unit after another."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers:
    config.option.loadscopereorder = False  # in the order of longest_first
    return ByServers(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    left_out[:] = getattr(node, "workeroutput", {}).get("left_out", left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tests that were skipped or deselected by `-m` or `-k`, so that a partial run is visible. In the containers'
    lane also what each folder took."""
    if ONLY_CONTAINERS:
        terminalreporter.section("folders")
        for line in times_of_folders(terminalreporter.stats):
            terminalreporter.line(line)
    skipped = [f"{report.nodeid} ({report.longrepr[2]})" for report in terminalreporter.stats.get("skipped", [])]
    if left_out or skipped:
        terminalreporter.section("not run")
        files = Counter(name.partition("::")[0] for name in left_out)
        many = [f"{file}: {number} left out" for file, number in files.items()]
        for line in [*(many if len(left_out) > NAMED_AT_MOST else left_out), *skipped]:
            terminalreporter.line(line)


def times_of_folders(stats: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Of each folder of `tests`: how its tests ended, and their seconds with set-up. Processes add up."""
    ended, seconds = defaultdict[str, Counter[str]](Counter), Counter[str]()
    for outcome, reports in stats.items():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                folder = "/".join(report.nodeid.split("/")[:2])
                seconds[folder] += report.duration
                ended[folder].update([outcome] if outcome else ())  # set-up and end that passed have none
    for folder, results in sorted(ended.items()):
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(results.items()))
        yield f"{folder}: {counts}, {seconds[folder]:.0f} s"


# Two cores are shared with Kafka and Postgres: an example's duration says nothing about our code.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    with real.kafka_bootstrap() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A superuser's DSN; tests use `database` instead, which each test has for itself."""
    with real.postgres_dsn() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def database_template(postgres_dsn: str) -> Iterator[str]:
    name = asyncio.run(real.make_template(postgres_dsn))
    yield name
    asyncio.run(real.drop_database(postgres_dsn, name))


@pytest.fixture
async def database(postgres_dsn: str, database_template: str) -> AsyncIterator[Database]:
    copy = await real.copy_template(postgres_dsn, database_template)
    yield copy
    await real.drop_database(postgres_dsn, urlsplit(copy.dsn).path.strip("/"))


@pytest.fixture
async def topics(kafka_bootstrap: str) -> AsyncIterator[Topics]:
    made = await real.make_topics(kafka_bootstrap)
    yield made
    await real.delete_topics(made)


@pytest.fixture
def expected_errors(request: pytest.FixtureRequest) -> list[str]:
    """Regular expressions for the ERROR logs that a test provokes: those of its marker; append others before provoking
    them."""
    return [pattern for marker in request.node.iter_markers("expected_errors") for pattern in marker.args]


@pytest.fixture(autouse=True)
def no_unexpected_errors(expected_errors: list[str]) -> Iterator[None]:
    """Fail a test whose code logged an ERROR that the test did not announce."""
    collector = Collector(logging.ERROR)
    logging.getLogger().addHandler(collector)
    yield
    logging.getLogger().removeHandler(collector)
    unexpected = [line for line in collector.lines if not any(re.search(pattern, line) for pattern in expected_errors)]
    if unexpected:
        pytest.fail("unexpected ERROR logs:\n" + "\n".join(unexpected), pytrace=False)


class Collector(logging.Handler):
    """Stores log lines as text."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")
