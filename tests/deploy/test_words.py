"""Prose and names use the field's standard words (docs/glossary.md). A failure has file:line and the standard word."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY

CLEAN = (
    ".ci",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "README.md",
    "SECURITY.md",
    "clients",
    "deploy",
    "docker-compose.yml",
    "docs",
    "flexcredits",
    "schemas",
    "services",
    "tests",
    "tools",
)
"""Files and folders that have none of the banned words."""
BANNED = {
    r"tells?|told|telling": "notify (people), report or print (output), publish (messages), distinguish (tell apart)",
    r"anew": "again, re-created",
    r"mend(?:s|ed|ing)?": "fix, correct",
    r"for ever|forever": "permanently, without limit",
    r"now and again": "periodically, every N s",
    r"looks?|looked|looking": "evaluate (thresholds), poll or check (state), query (data), seem",
    r"settle[sd]?|settling": "record (a result), resolve, complete",
    r"judge[sd]?|judging": "validate, evaluate, classify",
    r"fates?": "disposition",
    r"deeds?": "audit entry",
    r"luck|lucky": "chance, random",
    r"facts?": "catalog event",
    r"who(?:m|so)?ever|(?:some|no|any|every)body": "the noun: user, sender, caller, process, admin",
}
"""Regular expression -> the standard words."""
EXCEPTIONS = {
    r"\bin fact\b": "an idiom",
    r"\blooks? like\b": "resembles",
    r"\bonSettled\b": "a callback of TanStack Query",
    r"\bserve_forever\b": "a method of socketserver",
    r"`(?:told|nobody_to_tell|deeds|Deed|\w*Fates|settled_\w+|fact_\w+|facts|every_offset_has_one_fate)`": "old public names in CHANGELOG",
    r"flexcredits_alerter_look\w+|\{(?:fate|told)\}": "old metrics in CHANGELOG",
    r"`nobody`|\"nobody\"|Nobody@|# nobody": "the Unix account, or an address",
}
"""Regular expression of a text that may contain a banned word -> the reason."""
IGNORED = {
    "schemas/flexcredits_schemas/time-zones.json": "names of zones",
    "services/query-api/dashboard/package-lock.json": "names of packages",
    "services/query-api/dashboard/src/api/schema.d.ts": "generated from OpenAPI",
    "tests/deploy/schemas": "schemas of Kubernetes, Compose and operators",
    "tests/deploy/test_words.py": "this list",
}
NOT_OURS = {"dist", "node_modules", "__pycache__"}
WORDS = re.compile("|".join(rf"(?P<w{number}>\b(?:{word})\b)" for number, word in enumerate(BANNED)), re.IGNORECASE)
EXCEPTION = re.compile("|".join(EXCEPTIONS))


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, banned word and standard words of each match. Identifiers are split into words."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", EXCEPTION.sub("", line))
        for match in WORDS.finditer(words):
            yield number, match[0], list(BANNED.values())[int((match.lastgroup or "w0")[1:])]


def files_of(path: Path) -> Iterator[str]:
    """Names of the files to check, from the repository's root."""
    paths = [path] if path.is_file() else []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - NOT_OURS)
        paths += [Path(folder, name) for name in names]
    for name in (str(found.relative_to(REPOSITORY)) for found in paths):
        if not any(name == ignored or name.startswith(f"{ignored}/") for ignored in IGNORED):
            yield name


@pytest.mark.parametrize("path", CLEAN)
def test_only_standard_words_are_used(path: str) -> None:
    assert (REPOSITORY / path).exists(), f"{path} does not exist"
    found = [
        f"{name}:{number}: {word!r}: write {standard}"
        for name in files_of(REPOSITORY / path)
        for number, word, standard in findings((REPOSITORY / name).read_bytes().decode(errors="replace"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text", ["nobody knows", "def tell_people():", "const lookAgain = 1", "Told me", "# facts: two"]
)
def test_banned_words_are_found(text: str) -> None:
    assert list(findings(text))


@pytest.mark.parametrize("text", ["retell, mender, factor, lookup", "in fact", "runs as `nobody`", "onSettled: () =>"])
def test_other_words_are_allowed(text: str) -> None:
    assert not list(findings(text))
