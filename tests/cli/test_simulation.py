"""Generated usage is deterministic, and its expected totals are known."""

import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aggregator.domain.rating import credits_at, quantities_of
from flexcredits_cli.cli import app
from flexcredits_cli.generator.company.cast import DEMO, HAND_WRITTEN, companies
from flexcredits_cli.generator.company.rates import build_rates, micro_credits
from flexcredits_cli.generator.delivery import requests_of
from flexcredits_cli.generator.simulate import MONTHS_MAX, past_of, read_at
from flexcredits_cli.generator.usage.disturbances import COUNTED, MALFORMATIONS, PER_TEN_THOUSAND, Kind, Sending
from flexcredits_cli.generator.usage.history import Past, deployment_catalog
from flexcredits_cli.generator.usage.truth import Truth
from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Correction, RateData, Usage
from flexcredits_schemas.identity import amount_of
from flexcredits_schemas.rating.card import DEPLOYMENT, Rate, RateCard
from support.data.generated_companies import AT, demo_company, play
from typer.testing import CliRunner

SMALL = ("backfill", "--organizations", "9", "--events", "3000", "--months", "3", "--at", AT, "--output", "-")


@pytest.fixture
def demo() -> tuple[Past, list[Sending]]:
    return demo_company()


@pytest.fixture(scope="module")
def all_sendings() -> list[Sending]:
    """Three months of all hand-written companies and some generated ones, with the deployment's catalog events."""
    pasts = [past_of(1, company, read_at(AT), 3) for company in (*HAND_WRITTEN, *companies(5))]
    return [*deployment_catalog(pasts), *(sending for past in pasts for sending in past.sendings())]


def encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def written(*arguments: str, hash_seed: str) -> bytes:
    command = [sys.executable, "-P", "-m", "flexcredits_cli", "simulate", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_another_seed_other_bytes() -> None:
    first = written(*SMALL, hash_seed="1")
    assert first.count(b"\n") > 3000
    assert written(*SMALL, hash_seed="2") == first
    assert written(*SMALL, "--seed", "2", hash_seed="1") != first


@pytest.mark.slow
def test_live_usage_is_the_same_every_time_too() -> None:
    load = ("rate", "--per-second", "50", "--seconds", "4", "--organizations", "3", "--at", AT, "--output", "-")
    first = written(*load, hash_seed="1")
    assert first.count(b"flexcredits.usage.v1") == 200
    assert written(*load, hash_seed="2") == first


def test_bare_simulate_is_help() -> None:
    answer = CliRunner().invoke(app, ["simulate"]).output
    assert all(mode in answer for mode in ("scenario", "backfill", "rate"))


def test_a_past_day_is_the_same_in_a_later_run(demo: tuple[Past, list[Sending]]) -> None:
    _, later = play(DEMO, at="2026-11-26T16:20:00Z", months=9)
    usage = {encoded(sending.event) for sending in demo[1] if sending.kind is not Kind.CATALOG}
    assert usage < {encoded(sending.event) for sending in later}


def test_another_number_of_series_shares_no_id(demo: tuple[Past, list[Sending]]) -> None:
    _, other = play(replace(DEMO, series=90), months=1)
    ids = {sending.event["id"] for sending in demo[1] if sending.kind is not Kind.CATALOG}
    assert ids.isdisjoint(sending.event["id"] for sending in other if sending.kind is not Kind.CATALOG)


def test_every_event_is_decoded_and_every_malformed_one_refused_with_its_pointer(all_sendings: list[Sending]) -> None:
    pointers = set()
    for sending in all_sendings:
        if sending.kind is Kind.MALFORMED:
            with pytest.raises(InvalidEvent) as refused:
                decode(encoded(sending.event))
            pointers.add(refused.value.pointer)
        else:
            decode(encoded(sending.event))
    assert pointers == {malformation.pointer for malformation in MALFORMATIONS}


@pytest.mark.parametrize("number", range(len(MALFORMATIONS)))
def test_each_malformation_is_found_where_it_says(number: int, demo: tuple[Past, list[Sending]]) -> None:
    pointer, spoil = MALFORMATIONS[number]
    good = next(sending.event for sending in demo[1] if sending.kind is Kind.USAGE)
    with pytest.raises(InvalidEvent) as refused:
        decode(encoded(spoil(good)))
    assert refused.value.pointer == pointer


def test_ids_carry_the_events_time_and_nothing_lies_outside_of_ingests_window() -> None:
    past, sendings = play(replace(DEMO, per_day=10), months=MONTHS_MAX)
    oldest = past.at - timedelta(days=400) // timedelta(milliseconds=1)
    for sending in sendings:
        if sending.kind is Kind.CATALOG or sending.kind is Kind.MALFORMED:
            continue
        event = sending.event
        assert UUID(event["id"]).version == 7
        assert int(event["id"].replace("-", "")[:12], 16) == sending.happened_ms
        assert event["time"] == datetime.fromtimestamp(sending.happened_ms / 1000, UTC).isoformat(
            timespec="milliseconds"
        ).replace("+00:00", "Z")
        assert oldest < sending.happened_ms <= sending.arrives_ms <= past.at


def test_disturbances_come_in_their_shares(demo: tuple[Past, list[Sending]]) -> None:
    kinds = Counter(sending.kind for sending in demo[1])
    whole = kinds.total() - kinds[Kind.CATALOG]
    for kind, share in PER_TEN_THOUSAND.items():
        expected = whole * share / 10_000
        assert abs(kinds[kind] - expected) < 5 * math.sqrt(expected), kind
    truth = Truth()
    assert list(truth.watch(demo[1])) == demo[1]
    assert f"{kinds[Kind.LATE]:,} late" in truth.report()


def test_late_events_are_late_by_minutes_and_by_weeks(demo: tuple[Past, list[Sending]]) -> None:
    delays = [sending.arrives_ms - sending.happened_ms for sending in demo[1] if sending.kind is Kind.LATE]
    assert min(delays) < 3_600_000
    assert 20 * 86_400_000 < max(delays) <= 30 * 86_400_000


def test_copies_and_contradictions_come_after_their_original(demo: tuple[Past, list[Sending]]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for sending in demo[1]:
        event = sending.event
        if sending.kind in (Kind.COPY, Kind.COPY_APART):
            assert seen[event["id"]] == event
        elif sending.kind is Kind.CONFLICT:
            assert seen[event["id"]]["data"] != event["data"]
        elif sending.kind is Kind.CORRECTION:
            assert event["data"]["corrects"]["id"] in seen
        elif sending.kind is not Kind.CATALOG:
            assert event["id"] not in seen
            seen[event["id"]] = event


def test_requests_keep_the_order_and_a_later_copy_begins_a_new_one(demo: tuple[Past, list[Sending]]) -> None:
    batches = list(requests_of(demo[1]))
    assert [event for batch in batches for event in batch] == [sending.event for sending in demo[1]]
    assert max(map(len, batches)) <= 500
    usage = [[event["id"] for event in batch if event["type"] == "flexcredits.usage.v1"] for batch in batches]
    kinds = {sending.event["id"]: sending.kind for sending in demo[1]}
    repeated = [name for ids in usage for name, times in Counter(ids).items() if times > 1]
    assert repeated
    assert {kinds[name] for name in repeated} == {Kind.COPY}


def test_truth_is_what_the_aggregators_own_rules_come_to(all_sendings: list[Sending]) -> None:
    """Catalog events first, each identity once, rates by the aggregator's rate card: for history, and for usage after it."""
    truth, independent = Truth(), Counter[tuple[str, str]]()
    list(truth.watch(all_sendings))
    received = read_at(AT) / 1000
    card = rate_card(received)
    counted: set[tuple[str, str, str]] = set()
    for sending in all_sendings:
        try:
            event = decode(encoded(sending.event))
        except InvalidEvent:
            continue
        if not isinstance(event, Usage | Correction) or (event.subject, event.source, event.id) in counted:
            continue
        counted.add((event.subject, event.source, event.id))
        independent[event.subject, event.data.product] += amount_by(card, event, event.time.timestamp())
        assert amount_by(card, event, received + 60) == amount_by(card, event, event.time.timestamp())
    assert truth.micro == independent
    assert truth.micro.total() > 0


def rate_card(received: float) -> RateCard:
    card = RateCard()
    for offset, rate_event in enumerate(build_rates()):
        data = decode(encoded(rate_event)).data
        assert isinstance(data, RateData)
        assert data.per is not None
        key = (rate_event.get("subject", DEPLOYMENT), data.product, data.feature_kind, data.feature, data.unit)
        price = (micro(data.credits), micro(data.per), -math.inf, received, offset, data.part_of)
        card.add([Rate(offset, *key, *price)])
    return card


def amount_by(card: RateCard, event: Usage | Correction, occurred: float) -> int:
    if isinstance(event, Correction):
        return amount_of(event)
    data, quantities = event.data, quantities_of(event.data)
    units = [unit for unit, _ in quantities] or ([data.unit] if data.unit is not None else [])
    rates = {}
    for unit in units:
        rate = card.rate_at(event.subject, data.product, data.feature_kind, data.feature, unit, occurred)
        assert rate is not None
        rates[unit] = rate
    if quantities:
        return credits_at(quantities, rates)
    return rates[data.unit].credits_of(amount_of(event)) if data.unit is not None else amount_of(event)


def test_originals_and_their_corrections_never_fall_below_0(demo: tuple[Past, list[Sending]]) -> None:
    left: dict[str, int] = defaultdict(int)
    for sending in demo[1]:
        if sending.kind in COUNTED:
            event = sending.event
            original = event["data"]["corrects"]["id"] if sending.kind is Kind.CORRECTION else event["id"]
            left[original] += micro_credits(event)
    assert min(left.values()) == 0  # some are corrected to 0


def test_output_is_json_lines(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["simulate", *SMALL[:-1], str(tmp_path / "out.jsonl")])
    assert answer.exit_code == 0, answer.output
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert {json.loads(line)["type"] for line in lines} >= {"flexcredits.rate.v1", "flexcredits.usage.v1"}
