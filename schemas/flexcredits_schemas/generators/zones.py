"""Writes time-zones.json from the locked `tzdata` package: `python -m flexcredits_schemas.generators.zones`.

An organization may have a zone of tz's `zone.tab`, a fixed offset `Etc/GMT±N`, or UTC: Python's tzdata, PostgreSQL (also
builds without tz's legacy names) and ICU, which browsers use, support all of them. A legacy name that tz links to one of them
is replaced by it.
"""

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

TARGET = Path(__file__).parents[1] / "time-zones.json"
OFFSET = re.compile(r"Etc/GMT[+-][1-9]\d?")
UTC_NAMES = ("Etc/UTC", "Etc/GMT", "GMT")


def generate() -> str:
    """The file's text: tz's version, the accepted names, and the target of each legacy name."""
    folder = files("tzdata.zoneinfo")
    header, *lines = folder.joinpath("tzdata.zi").read_text().splitlines()
    rows = [line.split() for line in lines]
    places = [
        line.split("\t")[2].strip() for line in folder.joinpath("zone.tab").read_text().splitlines() if line[0] != "#"
    ]
    zones = {"UTC", *places, *(row[1] for row in rows if row[0] == "Z" and OFFSET.fullmatch(row[1]))}
    targets = {row[2]: row[1] for row in rows if row[0] == "L"} | dict.fromkeys(UTC_NAMES, "UTC")
    links = {name: resolve(name, targets, zones) for name in targets.keys() - zones}
    document = {
        "tz": header.split()[-1],
        "zones": sorted(zones),
        "links": {name: target for name, target in sorted(links.items()) if target},
    }
    return json.dumps(document, indent=1) + "\n"


def resolve(name: str, targets: dict[str, str], zones: set[str]) -> str | None:
    """The accepted zone at the end of a chain of links, or None."""
    while name not in zones:
        if name not in targets:
            return None
        name = targets[name]
    return name


def main() -> None:
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(generate())
    elif TARGET.read_text() != generate():
        sys.exit("time-zones.json differs from the locked tzdata: run python -m flexcredits_schemas.generators.zones")


if __name__ == "__main__":
    main()
