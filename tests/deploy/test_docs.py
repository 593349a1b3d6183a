"""Links, anchors, files, tests and settings that documents name exist. Failures have file:line."""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from flexcredits_cli.commands.operator.config import SERVICES
from flexcredits_cli.machine.state_folder import REPOSITORY
from pydantic.fields import FieldInfo

DOCUMENTS = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
FINDINGS = sorted((REPOSITORY / "findings").glob("*.sh"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(
    r"(?<![\w./@:$~-])((?:[\w.-]+/)*[\w.-]+\.(?:py|sql|sh|md|yml|yaml|tsx?|lock|toml))(?::+(test_\w+|\.\.\.))?(?![\w/*])"
)
TEST = re.compile(r"(?:(tests(?:/\w+)*|\.\.\.)::|(?<![\w:./-]))(test_\w+)(\.\.\.)?(?![\w.]*\.py)(?![\w(])")
FOLDER = re.compile(r"`((?:tests|services|schemas|deploy|docs|tools|findings)/[\w/-]*)[`:]")
EXAMPLE = re.compile(r"NAME|NNNN|TYPE|<")
NOT_OURS = {"dist", "node_modules", "__pycache__"}


@cache
def repository_files() -> list[str]:
    """Paths from the root with a leading slash: a document may name a file by the end of its path."""
    found: list[str] = []
    for folder, folders, names in os.walk(REPOSITORY):
        folders[:] = [name for name in folders if name not in NOT_OURS and (not name.startswith(".") or name == ".ci")]
        found += [f"/{Path(folder, name).relative_to(REPOSITORY)}" for name in names]
    return found


@cache
def anchors(document: Path) -> set[str]:
    """Anchors, in GitHub's format, of all headings."""
    headings = re.findall(r"^#{1,6} (.+)$", without_code(document.read_text()), re.MULTILINE)
    words = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in words}


@cache
def names_of_tests(under: str) -> set[str]:
    folder = REPOSITORY / under
    files = [folder] if folder.is_file() else folder.rglob("test_*.py")
    return {
        name for path in files for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def without_code(text: str) -> str:
    """Blank lines instead of fenced code: line numbers stay."""
    return re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)


def at(document: Path, text: str, offset: int) -> str:
    return f"{document.relative_to(REPOSITORY)}:{text.count(chr(10), 0, offset) + 1}"


def matches(pattern: re.Pattern[str], documents: list[Path]) -> Iterator[tuple[Path, str, re.Match[str]]]:
    """Each match with its document and its place, as docs/x.md:12."""
    for document in documents:
        text = document.read_text()
        for match in pattern.finditer(text):
            yield document, at(document, text, match.start()), match


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for document in [*DOCUMENTS, REPOSITORY / "CHANGELOG.md"]:
        text = without_code(document.read_text())
        for link in LINK.finditer(text):
            name, _, anchor = link[1].partition("#")
            target = document.parent / name if name else document
            if "://" in link[1] or name.startswith("mailto:"):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{at(document, text, link.start())}: {link[1]}")
    assert not broken, "\n".join(broken)


def test_every_file_that_a_document_names_exists() -> None:
    missing = []
    for document, place, name in matches(FILE, [*DOCUMENTS, *FINDINGS]):
        of_its_folder = document.suffix == ".md" and (document.parent / name[1]).exists()
        ends = f"/{name[1].removeprefix('../')}"
        if (
            not EXAMPLE.search(name[1])
            and not of_its_folder
            and not any(path.endswith(ends) for path in repository_files())
        ):
            missing.append(f"{place}: {name[1]}")
    assert not missing, "\n".join(missing)


def test_every_folder_that_a_document_names_exists() -> None:
    missing = [
        f"{place}: {name[1]}"
        for _, place, name in matches(FOLDER, DOCUMENTS)
        if not (REPOSITORY / name[1]).exists() and not EXAMPLE.search(name[1]) and not name[1].endswith("/dist")
    ]
    assert not missing, "\n".join(missing)


def test_every_test_that_a_document_names_exists() -> None:
    missing = []
    for _, place, name in matches(TEST, [*DOCUMENTS, *FINDINGS]):
        known = names_of_tests(name[1] if name[1] and name[1] != "..." else "tests")
        if not any(test.startswith(name[2]) if name[3] else test == name[2] for test in known):
            missing.append(f"{place}: {name[0]}")
    assert not missing, "\n".join(missing)


def test_every_document_that_the_source_names_exists() -> None:
    sources = [
        REPOSITORY / path[1:] for path in repository_files() if path.endswith((".py", ".sql", ".sh", ".yml", ".yaml"))
    ]
    named = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
    missing = [
        f"{place}: {name[0]}"
        for _, place, name in matches(named, [path for path in sources if path != Path(__file__)])
        if not (REPOSITORY / (parts := name[0].partition("#"))[0]).exists()
        or (parts[2] and parts[2] not in anchors(REPOSITORY / parts[0]))
    ]
    assert not missing, "\n".join(missing)


DECISION = re.compile(
    r"# (\d+)\. ([^\n]+)\n\n- Status: .+\n- Date: \d{4}-\d\d-\d\d\n"
    r"\n## Context\n\n.+\n## Decision\n\n.+\n## Consequences\n\n.+\n## Alternatives\n\n.+",
    re.DOTALL,
)


def test_every_decision_has_its_parts_and_stands_in_the_index() -> None:
    folder = REPOSITORY / "docs/decisions"
    index = (folder / "README.md").read_text()
    paths = sorted(folder.glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in paths]
    assert numbers == sorted(set(numbers)), "each number once"
    for path in paths:
        parts = DECISION.fullmatch(path.read_text())
        assert parts, f"{path}: Status, Date, Context, Decision, Consequences, Alternatives"
        assert int(parts[1]) == int(path.name[:4]), path
        assert index.count(f"| {parts[1]} | [{parts[2]}]({path.name})") == 1, f"{path} in the index"


def default_of(field: FieldInfo) -> str:
    """The default in the tables' format; "" if there is none."""
    value = None if field.is_required() else field.default
    for size, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"{value // size} {unit}"
    if isinstance(value, bool) or value == []:
        return json.dumps(value)
    return (
        f"{value:,}".removesuffix(".0") if isinstance(value, int | float) else value if isinstance(value, str) else ""
    )


def test_configuration_lists_every_setting_with_its_default() -> None:
    """A section with a service's name lists its settings; other sections apply to every service that has the setting."""
    document, listed = REPOSITORY / "docs/configuration.md", set[str]()
    for section in document.read_text().split("\n## "):
        name = section.partition("\n")[0]
        services = [SERVICES[name]] if name in SERVICES else [*SERVICES.values()]
        for row in re.findall(r"^\| `[A-Z].*", section, re.MULTILINE):
            for setting in re.findall(r"`([A-Z_]+)`", row.split(" | ")[0]):
                fields = [at.model_fields[setting.lower()] for at in services if setting.lower() in at.model_fields]
                assert fields, f"{document}: {setting} is no setting of {name}"
                listed.add(setting)
                assert all(default_of(field) in row for field in fields), (
                    f"{document}: {setting}: {[default_of(at) for at in fields]}"
                )
    assert listed == {field.upper() for settings in SERVICES.values() for field in settings.model_fields}


METRIC = re.compile(r'"(flexcredits_[a-z]\w+)",?\s')


def test_every_metric_is_documented() -> None:
    """A row names a metric in full, or by its end (`..._mail_seconds`) after one of the same service."""
    lines = (REPOSITORY / "docs" / "monitoring.md").read_text().splitlines()
    documented = [
        (set(re.findall(r"\bflexcredits_[a-z_]+", line)), tuple(re.findall(r"\.\.\.(_[a-z_]+)", line)))
        for line in lines
    ]

    def is_documented(metric: str) -> bool:
        service = "_".join(metric.split("_")[:2])
        return any(
            metric in full or (metric.endswith(ends or "-") and any(name.startswith(service) for name in full))
            for full, ends in documented
        )

    sources = (REPOSITORY / "services").rglob("metrics.py")
    metrics = {name for path in sources for name in METRIC.findall(path.read_text())}
    assert len(metrics) > 40
    assert sorted(metric for metric in metrics if not is_documented(metric)) == []
