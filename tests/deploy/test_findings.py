"""Each finding about other software has a script, and a row that says how FlexCredits handles it."""

import os
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_each_finding_can_be_run_and_has_its_row() -> None:
    scripts = sorted((REPOSITORY / "findings").glob("*"))
    assert all(os.access(script, os.X_OK) for script in scripts)
    rows = (REPOSITORY / "docs/compatibility.md").read_text().splitlines()
    named = sorted(match[1] for row in rows if (match := re.search(r"\| `([a-z0-9-]+)` \|$", row)))
    assert named == [script.stem for script in scripts]
