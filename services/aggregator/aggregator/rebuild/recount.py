"""Recounts a range of the log beside the live rollups. The log gives the events, and the ledger says which copy
counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.calendar import QUARTER_S
from flexcredits_schemas.identity import FIRST_WINS_HEADER, hash_bucket
from flexcredits_schemas.rating.card import Rate
from runtime.isolation import describe_failure, is_data_failure
from runtime.postgres.pool import Connection
from runtime.postgres.statements import from_record

from aggregator.db.attributions import select_parts
from aggregator.db.batch.ledger import select_contents
from aggregator.db.statements import SQL
from aggregator.db.unnest import by_bucket
from aggregator.domain.counting.copies import Content, content_of
from aggregator.domain.decode import DecodedBatch, UsageRecord
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.rating import Quantities, credits_at, read_rate_ids
from aggregator.domain.rollup import Decision, fold
from aggregator.rebuild.result import Recount
from aggregator.rebuild.runs.names import RunKey, RunNames, RunNameTable
from aggregator.rebuild.scope import Days, Snapshot

Parts = Mapping[int, tuple[str, ...]]
"""Parts of attributions by number."""
UNKNOWN = -1
"""No series and no usage has this value, so it contradicts every ledger row."""


class Recounter:
    """Recounts batches of the log with the ledger at the snapshot."""

    def __init__(self, snapshot: Snapshot, topic: str, days: Days, run_names: RunNameTable) -> None:
        self.recount = Recount()
        self._snapshot = snapshot
        self._run_names = run_names
        self._topic = topic
        self._days = days
        self._rates: dict[int, Rate] = {}
        self._series: dict[tuple[str, ...], int] = {}
        self._series_parts: dict[int, tuple[str, ...]] = {}

    async def learn(self) -> None:
        """Load the rates and series of the organizations."""
        async with self._snapshot.read() as connection:
            rates = await connection.fetch(SQL["select_changed_rates"], -1)
            self._rates = {row["rate_id"]: from_record(Rate, row) for row in rates}
            for row in await connection.fetch(SQL["select_all_series"], self._days.ids):
                key = SeriesKey._make(row[name] for name in SeriesKey._fields)
                self._series[key], self._series_parts[row["series_id"]] = row["series_id"], key[1:]

    async def add(self, batch: DecodedBatch) -> None:
        """Count the uses of a batch that lie in the days. Each of its records must have a disposition.

        An organization whose data causes a failure is left out from then on, and its sums are removed.
        """
        self.recount.records += len(batch.uses) + len(batch.corrections)
        self.recount.records += len(batch.rejections) + len(batch.failures)
        for failure in batch.failures:
            await self._leave_out(failure.organization, failure.error)
        uses = [use for use in (*batch.uses, *batch.corrections) if self._concerns(use)]
        try:
            await self._add(uses)
        except Exception as error:
            if not is_data_failure(error):
                raise
            for name in sorted({use.series[0] for use in uses}):
                try:
                    await self._add([use for use in uses if use.series[0] == name])
                except Exception as its:
                    if not is_data_failure(its):
                        raise
                    await self._leave_out(name, its)

    async def _add(self, uses: Sequence[UsageRecord]) -> None:
        """Count all of the uses, or none if it raises."""
        part = Recount()
        before, self.recount = self.recount, part
        try:
            async with self._snapshot.read() as connection:
                rows = await _select_dispositions(connection, [(use.ledger_bucket, use.identity) for use in uses])
                originals = await _select_dispositions(connection, [use.corrects for use in uses if use.corrects])
                contents = await self._select_contents(connection, rows, uses)
                parts = await _select_parts(connection, rows, contents)
                counted: list[Decision] = []
                unknown: list[UsageRecord] = []
                named: list[UsageRecord] = []
                for use in uses:
                    row = rows.get(use.identity)
                    if row is not None and _is_of(row, use):
                        if row["held"]:
                            part.held += 1
                        else:
                            original = originals.get(use.corrects[1]) if use.corrects else None
                            counted.append(self._decide(use, row, original, parts))
                    elif row is not None and self._is_copy(use, contents[use.identity], parts):
                        part.duplicate += 1
                    else:
                        # A copy by its header, unless it came before the first event that could be counted.
                        is_named = row is not None and FIRST_WINS_HEADER in use.record.headers
                        (named if is_named else unknown).append(use)
                await self._expect_dead_letters(connection, unknown, named)
            part.counted.update(decision.organization_id for decision in counted)
            fold(counted, part.rollups)
            await self._run_names.note(_names_of(counted))
        finally:
            self.recount = before
        before.take_over(part)

    def _is_copy(self, use: UsageRecord, first: Content, parts: Parts) -> bool:
        """Whether the use has the content of the record that the ledger has."""
        series_id = self._recorded_series(use, first.series_id)
        return content_of(use, series_id, _recorded(use, first.attribution_id, parts)) == first

    def _recorded_series(self, use: UsageRecord, number: int) -> int:
        """The series `number` if the use may be recorded under it: beyond the limit of series, one that stands for its own.
        What was decided is in the ledger alone."""
        is_own = SeriesKey._make(use.series).counts_as(self._series_parts.get(number, ()))
        return number if is_own else self._series.get(use.series, UNKNOWN)

    @staticmethod
    async def _select_contents(
        connection: Connection, rows: Mapping[bytes, asyncpg.Record], uses: Sequence[UsageRecord]
    ) -> dict[bytes, Content]:
        """The contents in the ledger of the uses that are not its own records."""
        keys = [
            (row["ledger_bucket"], use.identity)
            for use in uses
            if (row := rows.get(use.identity)) and not _is_of(row, use)
        ]
        return {identity: content for (_, identity), content in (await select_contents(connection, keys)).items()}

    async def _leave_out(self, name: str, error: Exception) -> None:
        organization = self._days.organizations.get(name)
        if organization is None:
            return
        self.recount.failed[name] = describe_failure(error)
        kept = {known: at for known, at in self._days.organizations.items() if known != name}
        self._days = replace(self._days, organizations=kept)
        self.recount.forget(organization.organization_id)
        await self._run_names.forget(organization.organization_id)

    @property
    def days(self) -> Days:
        """The days, with the organizations that are not left out."""
        return self._days

    def _concerns(self, use: UsageRecord) -> bool:
        organization = self._days.organizations.get(use.series[0])
        return (
            organization is not None
            and organization.time_zone is not None
            and self._days.hold(int(use.occurred // QUARTER_S), organization.time_zone)
        )

    def _decide(self, use: UsageRecord, row: asyncpg.Record, original: asyncpg.Record | None, parts: Parts) -> Decision:
        """Count a use with the values of the log. The rate comes from the ledger, since it depended on the catalog at
        that time. A correction has the attribution and the run of its original, as the ledger has them."""
        organization = self._days.organizations[use.series[0]]
        if use.credits is not None:
            credits = use.credits
        elif use.quantities is not None:
            credits = self._credits_of_quantities(use.quantities, row["quantities"])
        else:
            assert use.quantity is not None
            rate = self._rates.get(row["rate_id"])
            credits = UNKNOWN if rate is None else rate.credits_of(use.quantity)
        series_id = self._recorded_series(use, row["series_id"])
        if use.corrects:
            counts_as = original or row  # the original may have left the ledger before its correction
            attribution_id, run = counts_as["attribution_id"], counts_as["run"]
        else:
            attribution_id, run = (
                _recorded(use, row["attribution_id"], parts),
                UUID(use.run.identity) if use.run else None,
            )
        for name, said, kept in (
            ("credits", credits, row["credits"]),
            ("series", series_id, row["series_id"]),
            ("time", round(use.occurred * 1e6), round(row["occurred"] * 1e6)),
            ("attribution", attribution_id, row["attribution_id"]),
            ("run", run, row["run"]),
        ):
            if said != kept:
                self.recount.contradict(
                    f"{self._topic}/{use.partition}/{use.offset}: its {name} is {said}, the ledger says {kept}"
                )
        return Decision(
            use, organization.organization_id, series_id, str(organization.time_zone), credits, row["rate_id"], None,
            attribution_id, use.run,
        )  # fmt: skip

    def _credits_of_quantities(self, quantities: Quantities, in_ledger: str | None) -> int:
        rates = {
            unit: self._rates[rate_id]
            for unit, rate_id in read_rate_ids(in_ledger or "{}").items()
            if rate_id in self._rates
        }
        is_complete = rates.keys() == {unit for unit, _ in quantities}
        return credits_at(quantities, rates) if is_complete else UNKNOWN

    async def _expect_dead_letters(
        self, connection: Connection, unknown: Sequence[UsageRecord], named: Sequence[UsageRecord]
    ) -> None:
        """`unknown` have no ledger row of their content. Those in `named` are duplicates if they are no dead letters."""
        uses = [*unknown, *named]
        if not uses:
            return
        places = [use.partition for use in uses], [use.offset for use in uses]
        dead_letters = await connection.fetch(SQL["select_dead_letters"], self._topic, *places)
        dead = {(row["partition"], row["kafka_offset"]) for row in dead_letters}
        quarantined = await connection.fetch(SQL["select_aside"], self._topic, *places)
        aside = {(row["partition"], row["kafka_offset"]) for row in quarantined}
        # Copies of a held event are duplicates of it, also if it is rejected in the end and leaves the ledger.
        identities = [UUID(use.identity) for use in unknown]
        rejections = await connection.fetch(SQL["select_rejected_identities"], self._topic, identities)
        duplicates = {row["identity"].bytes for row in rejections} | {use.identity for use in named}
        for use in uses:
            if (use.partition, use.offset) in dead:
                self.recount.rejected += 1
            elif (use.partition, use.offset) in aside:
                self.recount.held += 1
            elif use.identity in duplicates:
                self.recount.duplicate += 1
            else:
                self.recount.contradict(
                    f"{self._topic}/{use.partition}/{use.offset}: neither the ledger nor a dead letter knows of it"
                )

    async def check_ledger(self) -> None:
        """Check that the ledger counts in these days what the log contains, and nothing else."""
        async with self._snapshot.read() as connection:
            rows = await connection.fetch(SQL["sum_counted"], self._days.ids, self._days.begins(), self._days.ends())
        zones = {at.organization_id: str(at.time_zone) for at in self._days.organizations.values()}
        inside = [row for row in rows if self._days.hold(row["quarter"], zones[row["organization_id"]])]
        events, credits = sum(row["events"] for row in inside), sum(row["credits"] for row in inside)
        log_credits = sum(cell[0] for cell in self.recount.rollups.days.values())
        if (events, credits) != (self.recount.counted.total(), log_credits):
            self.recount.contradict(
                f"the ledger counts {events} records and {credits} micro-credits in these days,"
                f" the log {self.recount.counted.total()} and {log_credits}"
            )


async def _select_parts(
    connection: Connection, rows: Mapping[bytes, asyncpg.Record], contents: Mapping[bytes, Content]
) -> Parts:
    numbers = {row["attribution_id"] for row in rows.values()} | {at.attribution_id for at in contents.values()}
    return await select_parts(connection, (number for number in numbers if number is not None))


def _recorded(use: UsageRecord, number: int | None, parts: Parts) -> int | None:
    """The attribution `number` if the use may be recorded under it: beyond the limit of attributions, one that stands for
    its own. What was decided is in the ledger alone."""
    if use.attribution is None:
        return None
    return number if number is not None and use.attribution.counts_as(parts.get(number, ())) else UNKNOWN


def _names_of(counted: Iterable[Decision]) -> RunNames:
    names: dict[RunKey, tuple[str, str]] = {}
    for decision in counted:
        if (run := decision.run) is not None:
            key = decision.organization_id, run.identity
            names[key] = run.run_id, max(run.parent_id, names.get(key, ("", ""))[1])
    return names


def _is_of(row: asyncpg.Record, use: UsageRecord) -> bool:
    return (row["kafka_partition"], row["kafka_offset"]) == (use.partition, use.offset)


async def _select_dispositions(
    connection: Connection, keys: Sequence[tuple[int, bytes]]
) -> dict[bytes, asyncpg.Record]:
    """Ledger rows by identity. A row lies in the partition of the day inside its id, or in a hash partition
    (ledger_partitions.py)."""
    dispositions = await _select_in(connection, keys)
    missing = [identity for bucket, identity in keys if bucket >= 0 and identity not in dispositions]
    return dispositions | await _select_in(connection, ((hash_bucket(identity), identity) for identity in missing))


async def _select_in(connection: Connection, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, asyncpg.Record]:
    return {
        row["identity"].bytes: row
        for bucket, identities in by_bucket(keys)
        for row in await connection.fetch(SQL["select_dispositions"], bucket, identities)
    }
