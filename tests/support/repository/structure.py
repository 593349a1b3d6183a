"""Import graphs of the source folders: number of files, number of layers, and import cycles.

`PYTHONPATH=tests python -m support.repository.structure` prints a line per folder.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from flexcredits_cli.machine.state_folder import REPOSITORY

PYTHON = ("schemas", "services/runtime", "services/ingest", "services/aggregator", "services/alerter", "services/query-api", "tools", "clients/python")  # fmt: skip
DASHBOARD = REPOSITORY / "services" / "query-api" / "dashboard" / "src"
GENERATED = {"schemas/flexcredits_schemas/events.py", "services/query-api/dashboard/src/api/schema.d.ts"}
FILES_AT_MOST = 9
RELATIVE_IMPORT = re.compile(r'(?:from|import)\s*\(?\s*"(\.{1,2}/[^"]+)"')


class Folder(NamedTuple):
    path: str
    files: int  # its own modules, without __init__, tests and generated ones
    floors: int  # layers: the longest chain of imports between its files and folders
    circle: list[str]  # an import cycle: names of its files and folders, the first one again at the end; empty: none


class Source:
    """The modules under a package's folder, and which of them each one imports."""

    def __init__(self, root: Path) -> None:
        self.root = root
        endings = ("*.py",) if root != DASHBOARD else ("*.ts", "*.tsx")
        self.files = sorted(path for ending in endings for path in root.rglob(ending) if is_source(path))

    @cached_property
    def imports(self) -> Mapping[Path, set[Path]]:
        of = imports_of_python if self.root != DASHBOARD else imports_of_typescript
        known = set(self.files)
        return {path: {found for found in of(path, self.root) if found in known} - {path} for path in self.files}

    def folders(self) -> Iterator[Folder]:
        for folder in sorted({parent for path in self.files for parent in path.parents if self.root in (parent, *parent.parents)}):  # fmt: skip
            graph: dict[str, set[str]] = {}
            for path, imported in self.imports.items():
                if folder in path.parents and path.name != "__init__.py":
                    place = path.relative_to(folder).parts[0]
                    others = {at.relative_to(folder).parts[0] for at in imported if folder in at.parents and at.name != "__init__.py"}  # fmt: skip
                    graph.setdefault(place, set()).update(others - {place})
            own = sum(path.parent == folder and path.name != "__init__.py" for path in self.files)
            yield Folder(str(folder.relative_to(REPOSITORY)), own, *measure(graph))


def is_source(path: Path) -> bool:
    name = str(path.relative_to(REPOSITORY))
    return name not in GENERATED and ".test." not in name and "node_modules" not in name and not name.endswith(".d.ts")


def measure(graph: Mapping[str, set[str]]) -> tuple[int, list[str]]:
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return 0, list(reversed(error.args[1]))
    floors: dict[str, int] = {}
    for name in order:
        floors[name] = 1 + max((floors[below] for below in graph.get(name, ())), default=0)
    return max(floors.values(), default=0), []


def imports_of_python(path: Path, root: Path) -> Iterator[Path]:
    """Imports at the top of a module. Imports inside functions are left out, because they run later."""
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            at = root.parent / name.replace(".", "/")
            yield from (at.with_suffix(".py"), at / "__init__.py")


def imports_of_typescript(path: Path, root: Path) -> Iterator[Path]:
    for target in RELATIVE_IMPORT.findall(path.read_text()):
        at = (path.parent / target).resolve()
        yield from (at.with_name(f"{at.name}{ending}") for ending in ("", ".ts", ".tsx"))


def sources() -> Iterator[Source]:
    """The packages of schemas, services and tools, and the dashboard."""
    for member in PYTHON:
        for package in sorted((REPOSITORY / member).glob("*/__init__.py")):
            yield Source(package.parent)
    yield Source(DASHBOARD)


def main() -> None:
    print(f"{'files':>5} {'floors':>6}  folder")
    for source in sources():
        for folder in source.folders():
            print(f"{folder.files:5} {folder.floors:6}  {folder.path}  {' -> '.join(folder.circle)}".rstrip())


if __name__ == "__main__":
    main()
