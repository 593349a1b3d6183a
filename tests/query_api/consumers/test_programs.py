"""R and LibreOffice read our files: the lines of docs/files.md exactly, and the simplest call as its table says.
Needs --clients."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from query_api.exports.domain.kinds import Columns
from support.clients.consumers import amounts_of_files, code_for, column_of, jobs, measured, read_csv
from support.clients.foreign_clients import need, run
from support.data.awkward_usage import CSV

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
LANGUAGES = {"LibreOffice en": 1033, "LibreOffice de": 1031}
FORMATS = {"day": 5, "text": 2, "json": 2, "instant": 2, "flag": 2}
"""Tokens of LibreOffice's filter: a date, text, or numbers as written in US English (10)."""
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"

NAIVE = """
lines <- read.csv("FILE")
value <- lines[["COLUMN"]]
total <- if (is.double(value)) format(sum(value), digits = 17) else ""
cat("FILE COLUMN", class(value), as.character(value[1]), total, sep = "\\t", fill = FALSE)
cat("\\n")
"""
WRITE = 'write.csv(lines, "FILE.read", na = "", row.names = FALSE)\n'
PRINT = 'cat("FILE COLUMN", as.character(total), sep = "\\t")\ncat("\\n")\n'
COST = "total <- format(sum(as.numeric(na.omit(lines$COLUMN))), digits = 15)\n"


def rows(printed: str) -> list[list[str]]:
    return [line.split("\t") for line in printed.splitlines()]


def test_r_reads_every_file_exactly_and_guesses_as_the_page_says(files: Path) -> None:
    need("Rscript")
    if run("Rscript", "-e", 'cat(requireNamespace("gmp", quietly = TRUE))', folder=files) != "TRUE":
        pytest.skip("R's package gmp is not on this machine")
    read, add = code_for("R").splitlines()
    program = []
    for file in CSV:
        program += [read.replace("usage.csv", file), WRITE.replace("FILE", file)]
    for file, column in amounts_of_files():
        if file in CSV:
            is_cost = CSV[file][1][column] == "cost"
            program += [
                read,
                (COST.replace("COLUMN", column) if is_cost else add.replace("$credits", f"${column}")),
                PRINT,
            ]
            program[-3:] = [
                line.replace("usage.csv", file).replace("FILE", file).replace("COLUMN", column) for line in program[-3:]
            ]
    (files / "read.R").write_text("\n".join(program))
    sums = {key: Decimal(total) for key, total in rows(run("Rscript", "read.R", folder=files, LC_ALL="C.UTF-8"))}
    for file, (_, columns) in CSV.items():
        lines = read_csv(files / file)
        assert read_csv(files / f"{file}.read") == lines, file
        for column in (name for of, name in amounts_of_files() if of == file):
            at = list(columns).index(column)
            total = sum((Decimal(line[at] or 0) for line in lines), Decimal())
            found = sums[f"{file} {column}"]
            if columns[column] == "cost":
                assert found == Decimal(f"{total:.15g}"), (file, column)
            else:
                assert found.scaleb(-6) == total, (file, column)
    naive = "".join(NAIVE.replace("FILE", file).replace("COLUMN", column) for file, column in jobs()["naive"])
    (files / "naive.R").write_text(naive)
    found_naively = {
        key: {"type": kind, "value": value, "sum": total}
        for key, kind, value, total in rows(run("Rscript", "naive.R", folder=files, LC_ALL="C.UTF-8"))
    }
    assert measured(found_naively, files) == column_of("R")


def convert(files: Path, names: list[str], options: str) -> dict[str, list[list[tuple[str, str]]]]:
    """Type and value of each cell, without the header."""
    run(
        "soffice", f"-env:UserInstallation={(files / 'profile').as_uri()}", "--headless", "--convert-to", "fods", "--outdir", "read",
        f"--infilter=Text - txt - csv (StarCalc):{options}", *names, folder=files,
    )  # fmt: skip
    return {name: list(cells_of(files / "read" / f"{name.removesuffix('.csv')}.fods"))[1:] for name in names}


def cells_of(path: Path) -> Iterator[list[tuple[str, str]]]:
    for row in ElementTree.parse(path).iter(f"{TABLE}table-row"):
        cells: list[tuple[str, str]] = []
        for cell in row.iter(f"{TABLE}table-cell"):
            assert cell.get(f"{TABLE}formula") is None, "no cell of ours is a formula"
            text = "\n".join("".join(part.itertext()) for part in cell.findall(f"{TEXT}p"))
            value = (
                cell.get(f"{OFFICE}value")
                or cell.get(f"{OFFICE}date-value")
                or cell.get(f"{OFFICE}boolean-value")
                or text
            )
            cells += [(cell.get(f"{OFFICE}value-type", ""), value)] * int(
                cell.get(f"{TABLE}number-columns-repeated", 1)
            )
        yield cells


def options_of(columns: Columns) -> str:
    formats = "/".join(f"{number}/{FORMATS.get(kind, 10)}" for number, kind in enumerate(columns.values(), 1))
    return f"44,34,76,1,{formats},1033"


def test_libreoffice_reads_every_file_to_its_15_digits(files: Path) -> None:
    need("soffice")
    assert f'StarCalc):{options_of(CSV["usage.csv"][1])}"' in code_for("LibreOffice")
    for file, (_, columns) in CSV.items():
        read = convert(files, [file], options_of(columns))[file]
        lines = read_csv(files / file)
        for line, cells in zip(lines, read, strict=False):
            for kind, text, (found_kind, value) in zip(columns.values(), line, cells, strict=False):
                if not text:
                    assert value == "", (file, line)
                elif kind in FORMATS:
                    assert (found_kind, value) == ("date" if kind == "day" else "string", text), (file, line)
                else:
                    assert (found_kind, Decimal(value)) == ("float", Decimal(f"{Decimal(text):.15g}")), (file, line)
        assert len([row for row in read if row[0][1]]) == len(lines), file


@pytest.mark.parametrize("program", LANGUAGES)
def test_libreoffice_guesses_as_the_page_says(files: Path, program: str) -> None:
    need("soffice")
    planned = jobs()["naive"]
    read = convert(files, sorted({file for file, _ in planned}), f"44,34,76,1,,{LANGUAGES[program]},false,false")
    found = {}
    for file, column in planned:
        at = list(CSV[file if file in CSV else "usage.csv"][1]).index(column)
        cells = [row[at] for row in read[file] if row[0][1]]
        numbers = [Decimal(value) for kind, value in cells if kind == "float"]
        total = (
            re.sub(r"\.?0*$", "", f"{sum(map(float, numbers)):.6f}") if len(numbers) == len(cells) else "texts, sum 0"
        )
        found[f"{file} {column}"] = {"type": cells[0][0] or "string", "value": cells[0][1], "sum": total}
    assert measured(found, files) == column_of(program)
