"""Generated usage says who used what: people who join, move and leave, service accounts, groups, labels and runs."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flexcredits_cli.dev_idp.sign_in_page import PEOPLE
from flexcredits_cli.generator.company.cast import DEMO, HIMAL, LUMEN, ORBIT, companies
from flexcredits_cli.generator.people.directory import groups_of, person_in, places_of
from flexcredits_cli.generator.simulate import LIVE_RATE, MONTHS_MAX
from flexcredits_cli.generator.usage.disturbances import COUNTED, Kind, Sending
from flexcredits_cli.generator.usage.live import Opening
from support.data.generated_companies import demo_company, play


@pytest.fixture
def usage() -> list[dict[str, Any]]:
    """`data` of the demo company's usage, each with its `time`."""
    return [
        sending.event["data"] | {"time": sending.event["time"]}
        for sending in demo_company()[1]
        if sending.kind in (Kind.USAGE, Kind.LATE)
    ]


def directory_of(sendings: list[Sending]) -> dict[str, list[dict[str, Any]]]:
    """The directory's events by actor, oldest first."""
    changes = defaultdict(list)
    for event in sorted((sending.event for sending in sendings), key=lambda event: event["time"]):
        if event["type"] == "flexcredits.actor.v1":
            changes[event["data"]["id"]].append(event["data"])
    return changes


def test_2_000_people_in_40_groups_join_move_and_leave_in_13_months() -> None:
    past, sendings = play(replace(DEMO, per_day=1), months=MONTHS_MAX)
    people = {name: data for name, data in directory_of(sendings).items() if name.startswith("usr_")}
    assert 1900 < len(people) < 2100
    assert len({data[0]["email"] for data in people.values()}) == len(people)
    first = f"{past.first}"
    joined = [data for data in people.values() if data[0]["effective_from"] > first]
    moved = [data for data in people.values() if sum("groups" in change for change in data) == 2]
    left = [data for data in people.values() if any(change.get("removed") for change in data)]
    erased = [data for data in left if any(change.get("erased") for change in data)]
    assert (len(joined) > 300, len(moved) > 100, len(left) > 300, len(erased) > 20) == (True,) * 4
    assert all(one["groups"] != other["groups"] for one, other, *_ in moved)
    groups = {
        sending.event["data"]["id"]: sending.event["data"]
        for sending in sendings
        if sending.event["type"] == "flexcredits.group.v1"
    }
    assert len(groups) == 40
    levels = Counter(level_of(groups, name) for name in groups)
    assert levels.keys() == {0, 1, 2}
    assert {data[-1]["groups"][0] for data in people.values() if "groups" in data[-1]} == set(groups)


def level_of(groups: dict[str, dict[str, Any]], name: str) -> int:
    parent = groups[name].get("parent")
    return 0 if parent is None else 1 + level_of(groups, parent)


def test_actors_are_in_the_directory_and_are_used_only_while_they_are_there() -> None:
    past, sendings = play(DEMO, months=MONTHS_MAX)
    directory = directory_of(sendings)
    for place in range(places_of(DEMO)):
        person = person_in(DEMO, place, past.first)
        assert person.joined_on <= past.first < person.left_on
    by_id: dict[str, set[date]] = defaultdict(set)
    for sending in sendings:
        actor = sending.event["data"].get("actor")
        if actor and sending.kind in COUNTED:
            at = datetime.fromtimestamp(sending.happened_ms / 1000, ZoneInfo(DEMO.time_zone))
            by_id[actor["id"]].add(at.date())
    assert by_id.keys() <= directory.keys()
    for name, days in by_id.items():
        assert directory[name][0]["effective_from"] <= f"{max(min(days), past.first)}"


def test_most_usage_names_an_actor_and_some_only_a_group_or_neither(usage: list[dict[str, Any]]) -> None:
    kinds = Counter(
        (data["actor"].get("kind", "user") if "actor" in data else "group" if "group" in data else "none")
        for data in usage
    )
    assert kinds["user"] > 0.7 * len(usage)
    assert all(kinds[kind] > 0.01 * len(usage) for kind in ("service_account", "group", "none")), kinds
    accounts = {data["product"] for data in usage if data.get("actor", {}).get("kind") == "service_account"}
    assert accounts == {"api"}
    labels = Counter(key for data in usage for key in data.get("labels", {}))
    assert labels.keys() == {"cost_center", "project"}
    assert 0.2 * len(usage) < labels["project"] < labels["cost_center"] < 0.6 * len(usage)


def test_some_model_calls_have_quantities_of_several_units(usage: list[dict[str, Any]]) -> None:
    calls = [data for data in usage if data["feature_kind"] == "model"]
    several = [data["quantities"] for data in calls if "quantities" in data]
    assert 0.4 * len(calls) < len(several) < 0.6 * len(calls)
    for quantities in several:
        assert int(quantities["cached_input_tokens"]) <= int(quantities["input_tokens"])
    cached = sum(int(quantities["cached_input_tokens"]) for quantities in several)
    assert 0.2 < cached / sum(int(quantities["input_tokens"]) for quantities in several) < 0.4


def test_use_is_skewed(usage: list[dict[str, Any]]) -> None:
    uses = Counter(data["actor"]["id"] for data in usage if "actor" in data and "kind" not in data["actor"])
    top = sum(number for _, number in uses.most_common(len(uses) // 10))
    assert 0.4 * uses.total() < top < 0.8 * uses.total()


def test_a_run_has_one_actor_one_agent_and_several_models_and_tools(usage: list[dict[str, Any]]) -> None:
    runs = defaultdict(list)
    for data in usage:
        if "run" in data:
            runs[data["run"]["id"]].append(data)
    parents = {name: uses[0]["run"]["parent_id"] for name, uses in runs.items() if "parent_id" in uses[0]["run"]}
    assert len(parents) > 0.03 * len(runs)
    for name, uses in runs.items():
        assert len({data["agent"]["id"] if "agent" in data else None for data in uses}) == 1
        assert len({f"{data.get('actor')}" for data in (*uses, *runs[parents.get(name, name)])}) == 1
        assert uses[0]["product"] != "api"
    assert sum(len({data["feature_kind"] for data in uses}) > 1 for uses in runs.values()) > 0.3 * len(runs)
    assert all(parent in runs for parent in list(parents.values())[10:-10])  # the parent may be late or malformed


def test_sessions_leave_the_shares_of_products_unchanged() -> None:
    def shares(people: int) -> Counter[str]:
        _, sendings = play(replace(DEMO, people=people), months=4)
        return Counter(sending.event["data"]["product"] for sending in sendings if sending.kind is Kind.USAGE)

    with_people, without = shares(DEMO.people), shares(0)
    for product, number in without.items():
        assert 0.85 < with_people[product] / number < 1.15, product


def test_the_members_who_sign_in_to_the_demo_are_people_with_usage(usage: list[dict[str, Any]]) -> None:
    directory = directory_of(demo_company()[1])
    by_email = {data[0].get("email"): name for name, data in directory.items()}
    used = Counter(data["actor"]["id"] for data in usage if "actor" in data)
    for member in PEOPLE:
        assert used[by_email[member.email]] > 30, member


def test_live_usage_names_people_and_continues_their_runs() -> None:
    orbit, _ = play(ORBIT, months=MONTHS_MAX)
    sendings = [
        sending
        for sending in Opening(1, [demo_company()[0], orbit], LIVE_RATE).sendings(120)
        if sending.kind is Kind.USAGE
    ]
    runs = Counter(sending.event["data"]["run"]["id"] for sending in sendings if "run" in sending.event["data"])
    assert max(runs.values()) > 2
    assert sum("actor" in sending.event["data"] for sending in sendings) > 0.7 * len(sendings)


def test_companies_differ_in_privacy_and_some_have_no_people() -> None:
    modes = {}
    for company in (DEMO, ORBIT, HIMAL, LUMEN):
        _, sendings = play(company, months=1)
        [organization] = [s.event["data"] for s in sendings if s.event["type"] == "flexcredits.organization.v1"]
        modes[company.id] = organization.get("people")
        if not company.people:
            assert not directory_of(sendings)
            assert not any({"actor", "group", "labels", "run"} & sending.event["data"].keys() for sending in sendings)
    assert modes == {"org_demo": "named", "org_orbit": "pseudonymous", "org_himal": "groups_only", "org_lumen": None}
    assert not any(company.people for company in companies(20))
    assert len(groups_of(HIMAL)) == 8


def test_corrections_name_only_their_original() -> None:
    corrections = [sending.event["data"] for sending in demo_company()[1] if sending.kind is Kind.CORRECTION]
    assert corrections
    assert not any({"actor", "group", "labels", "run"} & data.keys() for data in corrections)
