"""The real request traces, or generated files of the same format if they are missing."""

import csv
import os
import random
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

NAMES = ("azure-llm-2023-conv.csv", "azure-llm-2023-code.csv")
DEFAULT = Path(__file__).parents[4] / "shared" / "data"


def find_traces(folder: Path) -> list[Path]:
    """Both trace files from $FLEXCREDITS_TRACES (default ../shared/data); if missing, generated into `folder`. Prints which."""
    given = Path(os.environ.get("FLEXCREDITS_TRACES", DEFAULT))
    paths = [given / name for name in NAMES]
    if all(path.exists() for path in paths):
        print(f"traces: the real ones from {given.name}")  # noqa: T201 - pytest shows it with a failure
        return paths
    print("traces: generated, the real ones are missing")  # noqa: T201
    return [generate(folder / name) for name in NAMES]


def generate(path: Path, rows: int = 3000) -> Path:
    chance, at = random.Random(path.name), datetime(2023, 11, 16, 18, 15)  # noqa: DTZ001 - the format has no zone
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        for _ in range(rows):
            at += timedelta(microseconds=chance.randrange(1, 400_000))
            writer.writerow([f"{at:%Y-%m-%d %H:%M:%S.%f}0", chance.randrange(1, 8000), chance.randrange(0, 1000)])
    return path


def credits_of(path: Path) -> tuple[Decimal, int]:
    """Expected credits and requests of a trace, from the file alone: 1 credit per 1,000 tokens."""
    with path.open(newline="") as lines:
        tokens = [int(row["ContextTokens"]) + int(row["GeneratedTokens"]) for row in csv.DictReader(lines)]
    return sum((Decimal(number) / 1000 for number in tokens), Decimal(0)), len(tokens)
