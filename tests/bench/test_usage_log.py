"""The log of people that the benchmark of the aggregator counts."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

EVENTS = 4_000


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from counting.usage_log import Shape, UsageLog

    def generate(**shape: Any) -> list[dict[str, Any]]:
        return [json.loads(value) for _, _, value in UsageLog(Shape(people=5000, **shape), EVENTS, 1)]

    return generate


def test_names_of_people_and_runs_are_all_that_differs(generate: Any) -> None:
    plain, actors, runs = generate(names_people=False), generate(), generate(runs=0.3)
    assert all("actor" in event["data"] for event in actors)
    for named in (actors, runs):
        for event in named:
            event["data"].pop("actor")
    in_runs = [event for event in runs if event["data"].pop("run", None)]
    assert 0.2 < len(in_runs) / EVENTS < 0.4
    assert (
        [event["data"] for event in plain] == [event["data"] for event in actors] == [event["data"] for event in runs]
    )


def test_people_use_few_series_and_few_of_them_use_most(generate: Any) -> None:
    uses = Counter[str]()
    series: dict[str, set[str]] = {}
    for event in generate():
        data = event["data"]
        person = data.pop("actor")["id"]
        data.pop("credits")
        uses[person] += 1
        series.setdefault(person, set()).add(json.dumps(data))
    assert max(map(len, series.values())) <= 6
    top = sum(number for _, number in uses.most_common(len(uses) // 10))
    assert 0.25 < top / EVENTS < 0.5


def test_a_run_is_of_one_person(generate: Any) -> None:
    people: dict[str, set[str]] = {}
    for event in generate(runs=0.3):
        if run := event["data"].get("run"):
            people.setdefault(run["id"], set()).add(event["data"]["actor"]["id"])
    assert people
    assert all(len(each) == 1 for each in people.values())
