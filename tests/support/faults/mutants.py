"""Copies of the services, each with one safeguard removed. A test must fail on each."""

import ast
import importlib.util
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Changes = Mapping[str, Sequence[tuple[str, str]]]
"""By symbol of the package, in any module: replacements in its source text, (old, new). A symbol is a function,
method or constant, by the end of its qualified name (`UsageStream.run`), or a statement (`sql.insert_totals`)."""

AGGREGATOR: dict[str, Changes] = {
    "the fence removed": {
        "drop_replayed": [("    if all(positions[partition] <= first for partition, (first, _) in batch.spans.items()):\n", "    if True:\n")]
    },
    "the fence without its lock": {
        "progress.lock_progress": [('SQL["lock_progress"], topic, sorted(spans))', 'SQL["select_progress"], topic)')]
    },
    "the ledger off": {"ledger.claim": [("    if len(inserted) < len(decisions):\n", "    if False:\n")]},
    "conflicts of columns called duplicates": {
        "_claim_day": [("np.array(await are_same(connection, pairs), np.bool_)", "np.ones(len(pairs), np.bool_)")]
    },
    "all rows of a refused COPY called copies": {
        "_claim_day": [("if identity[at].tobytes() in known]] = True\n", "if known]] = True\n")]
    },
    "columns count held usage": {
        "leave_unusual": [("(places.zone_of(head) == UNKNOWN) | (credits", "(credits")]
    },
    "the outbox removed": {
        "store": [('    await connection.execute(SQL["insert_totals"], sorted({key[0] for key in result.rollups.organization_days}))\n', "")]
    },
    "the outbox's statement removed": {
        "sql.insert_totals": [("INSERT INTO totals_outbox (organization_id) SELECT", "SELECT")]
    },
    "offsets committed before the transaction": {
        "UsageStream._seek": [("            self._consumer.seek(at, positions[at.partition])\n", "            pass\n")],
        "UsageStream._process_at_once": [
            (
                "            result = await rerun(lambda: self._count(batch))\n",
                "            taken = {TopicPartition(self.topic, at): last + 1 for at, (_, last) in batch.spans.items()}\n"
                "            await self._consumer.commit(taken)\n"
                "            result = await rerun(lambda: self._count(batch))\n",
            )
        ],
    },
    "held usage forgotten": {
        "UsageStream.catch_up": [("        if changed or clock() - self._swept > RELEASE_EVERY_S:\n", "        if False:\n")]
    },
}  # fmt: skip
COLUMNS: dict[str, Changes] = {
    "the length of the envelope not compared": {
        "_split_records": [("if len(value) != envelope + len(event_id) + len(event.time) + len(data):", "if len(event_id) > len(value):")]
    },
    "a longer envelope taken": {
        "_split_records": [("if len(value) != envelope", "if len(value) < envelope")]
    },
    "heads compared without their organization": {
        "_split_records": [("own = organizations.get(organization, nothing)\n", "own = next(iter(organizations.values()), nothing)\n")]
    },
    "heads compared by their beginning": {"_split_records": [("data.rpartition(CREDITS)\n", "data.rpartition(CREDITS)\n        key = key[:100]\n")]},
    "units not compared": {"split_quantity": [('b\'"\' + after + before', 'b\'"\' + before')]},
    "the data after the amount not checked": {
        "parse_amounts": [
            ("end = lengths - 2  # place of the quote", "end = np.array([tail.find(b'\"') for tail in tails], np.int64)"),
            (" + 1] == _BRACE)", " + 1] != _ZERO)"),
        ]
    },
    "heads learned of any data after the amount": {"read._learn": [("if amount.find(b'\"') == len(amount) - 2 >= 0 else -1", "if amount else -1")]},
    "amounts of any size taken": {"parse_amounts": [("& (dot <= 9) ", "")]},
    "amounts of any places taken": {"parse_amounts": [("& (decimals <= 6) ", "")]},
    "amounts that end with a dot taken": {"parse_amounts": [("& ((decimals >= 1) | (dots == 0))", "")]},
    "amounts of 0 taken": {
        "parse_amounts": [("good & (value > 0), value, -1", "good, np.maximum(value, 1), -1")],
    },
    "usage before the window taken": {"columns.read.read": [(" & (occurred_us > received_us - PAST_S * 1_000_000 + _EDGE_US)", "")]},
    "usage after the window taken": {"columns.read.read": [(" & (occurred_us < received_us + AHEAD_S * 1_000_000 - _EDGE_US)", "")]},
    "append times multiplied without a limit": {"columns.read.read": [("np.clip(received_ms, 0, _LATEST_MS) * 1000", "received_ms * 1000")]},
    "control characters in ids taken": {"columns.read.read": [('if "\\x7f" in "".join(rows.ids):', "if not rows:")]},
    "control characters in sources taken": {"Heads.prefix_of": [('_NO_ENVELOPE if "\\x7f" in source else ', "")]},
    "days that do not exist taken": {"parse_times": [("    good &= day <= _MONTH_DAYS[which]\n", "")]},
    "times cut to milliseconds": {"parse_times": [("seconds * 1_000_000 + fraction, -1", "seconds * 1_000_000 + fraction // 1000 * 1000, -1")]},
    "ids of any version contain a day": {"ledger_buckets": [("(digits[14] == 7) & ", "")]},
    "heads of usage with an attribution learned": {"Heads.learn": [(" or _has_more(event.data)", "")]},
    "other members taken for an attribution": {"heads._Members": [("forbid_unknown_fields=True, ", "")]},
    "attributions not read by the codec": {"_read_attribution": [("is_plain = members.isascii() and", "is_plain = True or")]},
    "attributions of another organization taken": {
        "_read_who": [("attribution = own.attributions.get(members, REFUSED)", "attribution = next(iter(heads.organizations.values())).attributions.get(members, REFUSED)")]
    },
    "known attributions of another organization taken": {
        "_split_records": [("own.attributions.get(key[begin:], -1)", "next(iter(organizations.values()), nothing).attributions.get(key[begin:], -1)")]
    },
    "members between run and amount taken": {"split._AFTER_RUN": [(".fullmatch", ".match")]},
    "runs with escapes taken": {"split._AFTER_RUN": [("rb'([ !#-\\[\\]-~]", "rb'([ !#-~]")]},
    "longer ids of runs taken": {"split._AFTER_RUN": [("rb'([ !#-\\[\\]-~]{1,128}", "rb'([ !#-\\[\\]-~]{1,129}")]},
    "parents of runs not read": {"split_who": [("run = found[1], found[2]", "run = found[1], None")]},
    "ids of any year contain a day": {"ledger_buckets": [("    good &= (days >= DAYS.start) & (days < DAYS.stop)\n", "")]},
}  # fmt: skip
ALERTER: dict[str, Changes] = {
    "the organization's lock removed": {
        "lock_organization": [('    if not await connection.fetchval(SQL["lock_state"], organization_id):\n', "    if False:\n")]
    },
    "levels read before the lock": {
        "Evaluator.evaluate_within": [
            ("        await lock_organization(connection, organization_id, now)\n", "        states = await read_states(connection, [organization_id], *horizon(now, history))\n        await lock_organization(connection, organization_id, now)\n"),
            ("        for state in await read_states(connection, [organization_id], *horizon(now, history)):\n", "        for state in states:\n"),
        ]
    },
    "the outbox removed": {
        "Evaluator._fire": [("            await insert_emails(connection, level.organization_id, firing_id, messages, now)\n", "            messages.clear()\n")]
    },
    "mails marked before they are sent": {
        "Outbox._attempt": [("                attempt = await self.send(item)\n", '                await self.record_result(item, Attempt("sent", ""))\n                attempt = await self.send(item)\n')]
    },
    "mails not claimed for long enough": {"outbox.LEASE_S": [("LEASE_S = 60.0\n", "LEASE_S = 0.0\n")]},
    "notices marked before they are published": {
        "publish_of": [("            return None\n        await mark", "            pass\n        await mark")]
    },
    "thresholds met too early": {
        "crossed": [("is_met(used, available, percent)", "is_met(used * 105, available * 100, percent)")]
    },
    "mails called sent when they are taken up": {
        "sql.claim_emails": [("SET attempts", "SET state = 'sent', finished_at = now(), attempts")]
    },
}  # fmt: skip

PROJECTED: dict[str, Changes] = {
    "a second mail on a day": {
        "evaluate_projected": [('firing._replace(notification="suppressed") if is_mailed else firing', "firing")]
    },
    "projections never retracted": {"is_projected": [("mark.permille >= HOLDS_PERMILLE", "mark.permille >= 0")]},
}  # fmt: skip


class Symbol(NamedTuple):
    """Lines `first` to `last` of a file, from 1, both included."""

    name: str
    path: Path
    first: int
    last: int


def make_mutant(package: str, changes: Changes, folder: Path) -> Path:
    """Write a changed copy of a package into `folder`. With the folder in PYTHONPATH, Python imports the copy."""
    copy = folder / package
    shutil.copytree(folder_of(package), copy)
    for name, replacements in changes.items():
        change(find(copy, name), replacements)
    return folder


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def change(symbol: Symbol, replacements: Sequence[tuple[str, str]]) -> None:
    lines = symbol.path.read_text().splitlines(keepends=True)
    text = "".join(lines[symbol.first - 1 : symbol.last])
    for old, new in replacements:
        assert text.count(old) == 1, f"{symbol.name} has changed: {old}"
        text = text.replace(old, new)
    lines[symbol.first - 1 : symbol.last] = [text]
    symbol.path.write_text("".join(lines))


def find(folder: Path, name: str) -> Symbol:
    """The one symbol of a package whose qualified name is `name`, or ends with it."""
    found = [symbol for symbol in list_symbols(folder) if f".{symbol.name}".endswith(f".{name}")]
    assert len(found) == 1, f"{name} is the name of {[symbol.name for symbol in found]}"
    return found[0]


def list_symbols(folder: Path) -> Iterator[Symbol]:
    """Functions, classes, methods and constants of a package's modules, and its statements."""
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        yield from list_definitions(path, module, ast.parse(path.read_text()).body)
    for path in sorted(folder.rglob("*.sql")):
        yield from list_statements(path)


def list_definitions(path: Path, owner: str, body: Sequence[ast.stmt]) -> Iterator[Symbol]:
    for node in body:
        names: list[str] = []
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
            case ast.Assign():
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
        for name in names:
            yield Symbol(f"{owner}.{name}", path, node.lineno, node.end_lineno or node.lineno)
        if isinstance(node, ast.ClassDef):
            yield from list_definitions(path, f"{owner}.{node.name}", node.body)


def list_statements(path: Path) -> Iterator[Symbol]:
    """Statements, named as runtime.postgres.load_sql names them."""
    lines = path.read_text().splitlines()
    begins = [
        (at, line.removeprefix("-- name:").strip()) for at, line in enumerate(lines, 1) if re.match("-- name:", line)
    ]
    ends = [at - 1 for at, _ in begins[1:]] + [len(lines)]
    for (first, name), last in zip(begins, ends, strict=True):
        yield Symbol(f"sql.{name}", path, first, last)
