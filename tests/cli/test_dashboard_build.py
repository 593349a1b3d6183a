"""The dashboard's build: the real npm builds a minimal page."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flexcredits_cli.embedded.dashboard import DESCRIPTION, build_dashboard, has_packages, is_built
from flexcredits_cli.terminal.problem import SetupProblem

BUILD = """
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
appendFileSync(process.env.BUILDS, `${process.version}\\n`)
rmSync("dist", { recursive: true, force: true })
mkdirSync("dist")
writeFileSync("src/api/schema.d.ts", "new at every build: " + Math.random())
const description = readFileSync("../../../schemas/http/query-api.json", "utf8")
const page = readFileSync("src/page.html", "utf8")
if (page.includes("mistake")) throw new Error("src/page.html has a mistake")
writeFileSync("dist/index.html", page + description)
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout" / "services" / "query-api" / "dashboard"
    (folder / "src" / "api").mkdir(parents=True)
    project = {"name": "page", "version": "1.0.0", "type": "module", "scripts": {"build": "node build.js"}}
    lock = {"name": "page", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "page", "version": "1.0.0"}}}  # fmt: skip
    (folder / "package.json").write_text(json.dumps(project))
    (folder / "package-lock.json").write_text(json.dumps(lock))
    (folder / "build.js").write_text(BUILD)
    (folder / "src" / "page.html").write_text("<h1>Used</h1>")
    (folder / DESCRIPTION).resolve().parent.mkdir(parents=True)
    (folder / DESCRIPTION).write_text("{}")
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    return folder


def build(sources: Path, place: Path | None = None) -> list[str]:
    """The messages of a build."""
    messages: list[str] = []
    build_dashboard(sources, place or sources, messages.append)
    return messages


def count_builds(sources: Path) -> int:
    return len((sources.parents[3] / "builds").read_text().splitlines())


def test_the_first_build_installs_and_the_second_does_nothing(sources: Path) -> None:
    assert not is_built(sources, sources)
    assert build(sources) == ["installing the dashboard's packages (first start only)", "building the dashboard"]
    assert (sources / "dist" / "index.html").read_text() == "<h1>Used</h1>{}"
    assert is_built(sources, sources)
    assert build(sources) == []
    assert count_builds(sources) == 1


def test_it_runs_with_the_wheels_node(sources: Path) -> None:
    build(sources)
    assert (sources.parents[3] / "builds").read_text().startswith("v24.")


@pytest.mark.parametrize("changed", ["src/page.html", "build.js", str(DESCRIPTION)])
def test_a_change_builds_again_with_the_packages_that_are_there(sources: Path, changed: str) -> None:
    build(sources)
    (sources / changed).write_text((sources / changed).read_text() + "\n")
    assert not is_built(sources, sources)
    assert build(sources) == ["building the dashboard"]


def test_a_file_that_comes_or_goes_builds_again(sources: Path) -> None:
    build(sources)
    (sources / "src" / "new.css").write_text("a{}")
    assert build(sources) == ["building the dashboard"]
    (sources / "src" / "new.css").unlink()
    assert build(sources) == ["building the dashboard"]


def test_other_packages_are_installed_again(sources: Path) -> None:
    build(sources)
    lock = sources / "package-lock.json"
    lock.write_text(lock.read_text() + "\n")
    assert not has_packages(sources)
    assert build(sources) == ["installing the dashboard's packages (first start only)", "building the dashboard"]


def test_a_build_that_was_interrupted_or_thrown_away_is_made_again(sources: Path) -> None:
    build(sources)
    (sources / "dist" / ".flexcredits-stamp").unlink()
    assert build(sources) == ["building the dashboard"]
    (sources / "dist").rename(sources.parent / "away")
    assert build(sources) == ["building the dashboard"]


def test_a_build_that_fails_says_what_npm_said_and_is_tried_again(sources: Path) -> None:
    (sources / "src" / "page.html").write_text("a mistake")
    with pytest.raises(SetupProblem, match=r"(?s)npm run build.*page\.html has a mistake"):
        build(sources)
    assert not is_built(sources, sources)
    (sources / "src" / "page.html").write_text("fixed")
    assert build(sources) == ["building the dashboard"]


def test_two_at_once_build_once(sources: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        messages = [work.result() for work in [pool.submit(build, sources), pool.submit(build, sources)]]
    assert sorted(map(len, messages)) == [0, 2]
    assert count_builds(sources) == 1


def test_a_checkout_that_cannot_be_written_to_is_built_elsewhere(sources: Path, tmp_path: Path) -> None:
    place = tmp_path / "home" / "services" / "query-api" / "dashboard"
    for folder in (sources, sources / "src"):
        folder.chmod(0o555)
    assert build(sources, place) == ["installing the dashboard's packages (first start only)", "building the dashboard"]
    assert (place / "dist" / "index.html").read_text() == "<h1>Used</h1>{}"
    assert not (sources / "dist").exists()
    assert build(sources, place) == []
    for folder in (sources, sources / "src"):
        folder.chmod(0o755)
    (sources / "src" / "page.html").rename(sources / "src" / "gone.html")
    with pytest.raises(SetupProblem, match=r"page\.html"):
        build(sources, place)  # no old source is left in the copy
