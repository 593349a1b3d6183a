"""A Postgres in memory that answers a service's statements by their names, READ COMMITTED, with row locks.

A transaction's writes are visible to others after its commit. It waits for rows that another transaction has written or locked.
`tests/simulation/replay.py` compares it with a real Postgres.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
from support.repository.statement_texts import without_partition

from simulation.world import Blocked, Process, World

Key = Any
Statement = Callable[..., Iterable[tuple[Any, ...]] | None]
Answer = TypeVar("Answer")


class Row(tuple[Any, ...]):
    """A row as asyncpg's: columns by position and by name."""

    names: tuple[str, ...] = ()

    def __getitem__(self, at: Any) -> Any:
        return super().__getitem__(self.names.index(at) if isinstance(at, str) else at)

    def keys(self) -> Iterator[str]:
        return iter(self.names)


def functions_of(module: Mapping[str, Any]) -> dict[str, Statement]:
    """The functions that a module defines, by name."""
    return {
        name: value
        for name, value in module.items()
        if callable(value) and getattr(value, "__module__", "") == module["__name__"] and not isinstance(value, type)
    }


def rows_named(names: str) -> type[Row]:
    return type("Row", (Row,), {"names": tuple(names.split())})


@dataclass
class FaultRates:
    """Shares of statements and commits that fail."""

    failure: float = 0.0
    """40001, 40P01 or 55P03 instead of rows; the transaction is rolled back."""
    lost: float = 0.0
    """The connection ends before or after the statement runs: the result of a COMMIT is then unknown."""


class Postgres:
    """Committed rows by table and key, and the transactions that hold locks."""

    def __init__(self, world: World, sql: Mapping[str, str], statements: Mapping[str, Statement], names: Mapping[str, str]) -> None:  # fmt: skip
        self.world = world
        self.fault_rates = FaultRates()
        self.tables: dict[str, dict[Key, Any]] = {}
        self.open: set[Transaction] = set()
        self.commits = 0
        self.deadlocks = 0
        """Deadlocks that were not injected: statements lock in different orders."""
        self.defects: set[str] = set()
        """Organizations for which a statement fails."""
        self.trace: list[tuple[Any, ...]] | None = None
        """Each session's statements and rows in order, if a trace is recorded."""
        self.sessions = 0
        self._names = {text: name for name, text in sql.items()}
        self._statements = statements
        self._rows = {name: rows_named(columns) for name, columns in names.items()}
        self._holders: dict[tuple[str, Key], tuple[bool, set[Transaction]]] = {}
        self._queues: dict[tuple[str, Key], list[tuple[Transaction, bool]]] = defaultdict(list)
        self._sequences: Counter[str] = Counter()

    def table(self, name: str) -> dict[Key, Any]:
        return self.tables.setdefault(name, {})

    def number(self, sequence: str) -> int:
        """The next number of a sequence. A rollback does not return it."""
        self._sequences[sequence] += 1
        return self._sequences[sequence]

    def note(self, *what: Any) -> None:
        if self.trace is not None:
            self.trace.append(what)

    def run_statement(self, transaction: "Transaction", text: str, args: Sequence[Any]) -> list[Row]:
        return self.run_named(transaction, self._names[without_partition(text)], args)

    def run_named(self, transaction: "Transaction", name: str, args: Sequence[Any]) -> list[Row]:
        if transaction.is_repeatable and transaction.snapshot is None:
            transaction.snapshot = {table: dict(rows) for table, rows in self.tables.items()}
        puts = transaction.puts
        if not transaction.waiting:
            transaction.numbered, transaction.absent = {}, {}
        try:
            answer = self._statements[name](transaction, *args)
            rows = [self._rows[name](row) for row in answer or ()]
        except Blocked:
            assert transaction.puts == puts, f"{name} writes before it has all of its locks"
            if not transaction.waiting:
                self.note("blocked", transaction.session, name, args)
            transaction.waiting = True
            raise
        except asyncpg.UniqueViolationError:
            if not transaction.savepoints:
                self.undo(transaction)
                raise
            self._leave_queue(transaction)
            self.note("failed", transaction.session, name, args)
            transaction.waiting = False
            raise
        except Exception:
            self.undo(transaction)
            raise
        self._leave_queue(transaction)
        self.note("done", transaction.session, name, args, rows)
        transaction.waiting = False
        return rows

    def lock(self, transaction: "Transaction", what: tuple[str, Key], shared: bool = False) -> None:
        """Lock a row, after its holders and the transactions that wait already. Raises Blocked, or DeadlockDetectedError."""
        if what in transaction.held:
            return
        queue = self._queues[what]
        ahead = [*itertools.takewhile(lambda waiting: waiting[0] is not transaction, queue)]
        others = self._others(transaction, what, shared)
        others |= {other for other, is_shared in ahead if not (shared and is_shared)}
        if not others:
            self._leave_queue(transaction)
            self._holders.setdefault(what, (shared, set()))[1].add(transaction)
            transaction.held.add(what)
            return
        if transaction.queues_for != what:
            self._leave_queue(transaction)
            queue.append((transaction, shared))
            transaction.queues_for = what
        transaction.waits_for = others
        self._check_deadlock(transaction)
        raise Blocked

    def _leave_queue(self, transaction: "Transaction") -> None:
        if transaction.queues_for is not None:
            queue = self._queues[transaction.queues_for]
            queue[:] = [waiting for waiting in queue if waiting[0] is not transaction]
        transaction.queues_for, transaction.waits_for = None, set()

    def is_free(self, transaction: "Transaction", what: tuple[str, Key]) -> bool:
        return not self._others(transaction, what, shared=False)

    def is_being_written(self, transaction: "Transaction", table: str, key: Key) -> bool:
        others = self._others(transaction, (table, key), shared=False)
        return any(key in other.written.get(table, ()) for other in others)

    def _others(self, transaction: "Transaction", what: tuple[str, Key], shared: bool) -> "set[Transaction]":
        is_shared, holders = self._holders.get(what, (True, set()))
        return set() if shared and is_shared else holders - {transaction}

    def _check_deadlock(self, transaction: "Transaction") -> None:
        seen: set[Transaction] = set()
        ahead = [*transaction.waits_for]
        while ahead:
            other = ahead.pop()
            if other is transaction:
                self.deadlocks += 1
                raise asyncpg.DeadlockDetectedError("real deadlock")
            if other not in seen:
                seen.add(other)
                ahead += other.waits_for

    def commit(self, transaction: "Transaction") -> None:
        for name, rows in transaction.written.items():
            table = self.table(name)
            for key, row in rows.items():
                if row is None:
                    table.pop(key, None)
                else:
                    table[key] = row
        self.commits += 1
        self.note("commit", transaction.session)
        self._release(transaction)

    def release(self, transaction: "Transaction", locks: set[tuple[str, Key]]) -> None:
        """Release some of a transaction's locks."""
        for what in locks:
            transaction.held.discard(what)
            holders = self._holders[what][1]
            holders.discard(transaction)
            if not holders:
                del self._holders[what]
        self.world.wake()

    def undo(self, transaction: "Transaction") -> None:
        if not transaction.over:
            self.note("rollback", transaction.session)
            self._release(transaction)

    def _release(self, transaction: "Transaction") -> None:
        transaction.over = True
        self._leave_queue(transaction)
        self.open.discard(transaction)
        self.release(transaction, {*transaction.held})


@dataclass(eq=False)
class Transaction:
    """One session's writes and locks."""

    postgres: Postgres
    session: int
    is_repeatable: bool = False
    """REPEATABLE READ: reads see the tables as of the first statement."""
    snapshot: dict[str, dict[Key, Any]] | None = None
    written: dict[str, dict[Key, Any]] = field(default_factory=dict)
    held: set[tuple[str, Key]] = field(default_factory=set)
    queues_for: tuple[str, Key] | None = None
    waits_for: "set[Transaction]" = field(default_factory=set)
    waiting: bool = False
    savepoints: int = 0
    puts: int = 0
    over: bool = False
    numbered: dict[str, list[int]] = field(default_factory=dict)
    absent: dict[str, set[Key]] = field(default_factory=dict)
    """By table, the rows that a MERGE or NOT EXISTS did not find when the statement began."""
    incoming: list[Sequence[Any]] = field(default_factory=list)
    """The rows of the temporary table incoming_sums, which a commit empties."""
    attributed: list[Sequence[Any]] = field(default_factory=list)
    """As `incoming`, of incoming_attributed."""

    def get(self, table: str, key: Key) -> Any:
        written = self.written.get(table)
        if written is not None and key in written:
            return written[key]
        return self._committed(table).get(key)

    def rows(self, table: str) -> dict[Key, Any]:
        written = self.written.get(table)
        if not written:
            return self._committed(table)
        return {key: row for key, row in {**self._committed(table), **written}.items() if row is not None}

    def _committed(self, table: str) -> dict[Key, Any]:
        return self.postgres.table(table) if self.snapshot is None else self.snapshot.get(table, {})

    def lock(self, table: str, *keys: Key, shared: bool = False) -> None:
        """Lock rows in the order given. A statement takes all locks before it writes, because it restarts after a wait."""
        for key in keys:
            self.postgres.lock(self, (table, key), shared)

    def meets(self, table: str, key: Key) -> bool:
        """ON CONFLICT DO NOTHING: whether the row exists. Waits for a transaction that writes the row, not for one that locks it."""
        if self.postgres.is_being_written(self, table, key) or self.get(table, key) is None:
            self.lock(table, key)
        return self.get(table, key) is not None

    def put(self, table: str, key: Key, row: Any) -> None:
        assert (table, key) in self.held, "written without a lock"
        self.puts += 1
        self.written.setdefault(table, {})[key] = row

    def append(self, table: str, row: Any) -> int:
        """Insert a row under a new number, on which no other transaction can wait."""
        number = self.postgres.number(table)
        self.lock(table, number)
        self.put(table, number, row)
        return number

    def numbers(self, sequence: str, many: int) -> list[int]:
        """Numbers for a column's default: taken once per statement, also for rows that exist already."""
        if sequence not in self.numbered:
            self.numbered[sequence] = [self.postgres.number(sequence) for _ in range(many)]
        return self.numbered[sequence]

    def add_all(self, additions: Mapping[str, Iterable[Sequence[Any]]], sums: int = 2) -> None:
        """INSERT ... ON CONFLICT DO UPDATE, table by table: the last `sums` columns are added, by the key in the columns before them."""
        cells = {table: sorted((tuple(row[:-sums]), tuple(row[-sums:])) for row in rows) for table, rows in additions.items()}  # fmt: skip
        for table, rows in cells.items():
            self.lock(table, *(key for key, _ in rows))
        for table, rows in cells.items():
            for key, amounts in rows:
                before = self.get(table, key) or (0,) * sums
                self.put(table, key, tuple(map(sum, zip(before, amounts, strict=True))))

    def merge(self, table: str, rows: Iterable[Sequence[Any]], sums: int = 2) -> None:
        """MERGE: as add_all, but a row that another transaction has added since the statement began is a failure."""
        cells = [(tuple(row[:-sums]), tuple(row[-sums:])) for row in rows]
        assert [key for key, _ in cells] == sorted({key for key, _ in cells}), f"{table}: not sorted"
        absent = self.absent.setdefault(table, {key for key, _ in cells if self.get(table, key) is None})
        for key, _ in cells:
            self.lock(table, key)
            if key in absent and self.get(table, key) is not None:
                raise asyncpg.UniqueViolationError(f"{table} {key}")
        for key, amounts in cells:
            before = self.get(table, key) or (0,) * sums
            self.put(table, key, tuple(map(sum, zip(before, amounts, strict=True))))


class Connection:
    """The parts of asyncpg's connection that the services use."""

    def __init__(self, postgres: Postgres, process: Process) -> None:
        self._postgres = postgres
        self._process = process
        self._transaction: Transaction | None = None
        self._is_lost = False
        postgres.sessions += 1
        self._session = postgres.sessions
        process.at_death.append(self._hang_up)

    def _hang_up(self) -> None:
        if self._transaction is not None:
            self._postgres.undo(self._transaction)

    def close(self) -> None:
        self._process.at_death.remove(self._hang_up)

    async def fetch(self, text: str, *args: Any) -> list[Row]:
        if self._transaction is not None:
            transaction = self._transaction
            return await self._ask(transaction, lambda: self._postgres.run_statement(transaction, text, args))
        alone = self._begin(None)
        try:
            return await self._ask(alone, lambda: self._run_in_own_transaction(alone, text, args))
        finally:
            self._transaction = None

    def _begin(self, isolation: str | None) -> Transaction:
        self._postgres.note("begin", self._session, isolation)
        self._transaction = Transaction(self._postgres, self._session, isolation == "repeatable_read")
        self._postgres.open.add(self._transaction)
        return self._transaction

    def _run_in_own_transaction(self, transaction: Transaction, text: str, args: Sequence[Any]) -> list[Row]:
        rows = self._postgres.run_statement(transaction, text, args)
        self._postgres.commit(transaction)
        return rows

    async def _ask(self, transaction: Transaction, act: Callable[[], Answer]) -> Answer:
        return await self._postgres.world.reach(self._process, lambda: self._with_faults(transaction, act))

    def _with_faults(self, transaction: Transaction, act: Callable[[], Answer]) -> Answer:
        if self._is_lost or transaction.over:
            raise asyncpg.ConnectionDoesNotExistError("lost")
        rates, roll = self._postgres.fault_rates, self._postgres.world.chance.random()
        if roll < rates.failure:
            self._postgres.undo(transaction)
            errors = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
            raise self._postgres.world.chance.choice(errors)("injected fault")
        if roll > 1 - rates.lost / 2:
            self._lose(transaction)
        answer = act()
        if roll > 1 - rates.lost:
            self._lose(transaction)
        return answer

    def _lose(self, transaction: Transaction) -> None:
        self._is_lost = True
        self._postgres.undo(transaction)
        raise asyncpg.ConnectionDoesNotExistError("injected fault")

    async def fetchrow(self, text: str, *args: Any) -> Row | None:
        return next(iter(await self.fetch(text, *args)), None)

    async def fetchval(self, text: str, *args: Any) -> Any:
        row = await self.fetchrow(text, *args)
        return None if row is None else row[0]

    async def execute(self, text: str, *args: Any) -> None:
        await self.fetch(text, *args)

    async def copy_to_table(
        self,
        table: str,
        *,
        source: AsyncIterator[bytes],
        columns: Sequence[str],
        format: str,  # noqa: A002
    ) -> None:
        transaction = self._transaction
        assert transaction is not None
        assert format == "binary"
        args = (table, b"".join([part async for part in source]), columns)
        await self._ask(transaction, lambda: self._postgres.run_named(transaction, "copy_to_table", args))

    async def executemany(self, text: str, every: Iterable[Sequence[Any]]) -> None:
        for args in every:
            await self.fetch(text, *args)

    @asynccontextmanager
    async def transaction(self, isolation: str | None = None, readonly: bool = False) -> AsyncIterator[None]:
        """As in asyncpg: within a transaction, a savepoint."""
        outer = self._transaction
        if outer is not None:
            before = {name: dict(rows) for name, rows in outer.written.items()}
            held = {*outer.held}
            self._note_savepoint(outer, "savepoint")
            outer.savepoints += 1
            try:
                yield
            except Exception:
                outer.written = before
                self._note_savepoint(outer, "undo to savepoint")
                if not outer.over:
                    self._postgres.release(outer, outer.held - held)
                raise
            finally:
                outer.savepoints -= 1
            self._note_savepoint(outer, "forget savepoint")
            return
        transaction = self._begin(isolation)
        try:
            yield
            await self._ask(transaction, lambda: self._postgres.commit(transaction))
        finally:
            self._postgres.undo(transaction)
            self._transaction = None

    def _note_savepoint(self, transaction: Transaction, what: str) -> None:
        if not transaction.over:
            self._postgres.note(what, self._session)


class Pool:
    """The parts of asyncpg's pool that the services use."""

    def __init__(self, postgres: Postgres, process: Process) -> None:
        self._postgres = postgres
        self._process = process

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        connection = Connection(self._postgres, self._process)
        try:
            yield connection
        finally:
            connection.close()

    async def fetch(self, text: str, *args: Any) -> list[Row]:
        async with self.acquire() as connection:
            return await connection.fetch(text, *args)

    async def execute(self, text: str, *args: Any) -> None:
        await self.fetch(text, *args)

    async def fetchrow(self, text: str, *args: Any) -> Row | None:
        return next(iter(await self.fetch(text, *args)), None)
