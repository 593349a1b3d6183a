"""A mapping is tried on pasted events: usage, or the rule and field that fail, as ingest would do it. Nothing is stored."""

import json
from typing import Any

import pytest
from flexcredits_schemas.codec import decode
from flexcredits_schemas.mapping.ready_made import example_of, ready_made
from query_api.connections.domain import EVENT_CHARACTERS_MAX, EVENTS_MAX
from support.data.table_rows import TableRows
from support.services.query_api import Api

from .test_mappings import DOCUMENT, RULE

TRY = "/api/v1/mappings/try"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "call-1",
    "source": "gateway",
    "type": "prompt",
    "time": "2026-11-20T10:00:00+01:00",
    "subject": "ada",
    "data": {"model": "gpt-6", "cost": 0.0123},
}
IGNORES = {"name": "pings", "protocol": "openmeter", "when": [{"at": "/type", "is": "ping"}], "ignore": True}


async def attempt(api: Api, event: object, document: object = DOCUMENT, protocol: str = "openmeter") -> Any:
    text = event if isinstance(event, str) else json.dumps(event)
    answer = await api.send("POST", TRY, {"document": document, "protocol": protocol, "event": text})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(autouse=True)
async def acme(db: TableRows) -> None:
    await db.organization()


async def test_an_event_becomes_the_usage_that_ingest_would_publish(api: Api) -> None:
    trial = await attempt(api, EVENT)
    (tried,) = trial["events"]
    assert (tried["outcome"], tried["rule"], tried["failure"]) == ("usage", "model calls", None)
    assert tried["usage"] == {
        "type": "flexcredits.usage.v1", "specversion": "1.0", "id": "call-1", "source": "openmeter:gateway",
        "subject": "org_acme", "time": "2026-11-20T09:00:00Z",
        "data": {
            "product": "assistant", "feature_kind": "model", "feature": "gpt-6", "actor": {"id": "ada"}, "credits": "1.230000",
        },
    }  # fmt: skip
    decode(json.dumps(tried["usage"]).encode())


async def test_what_fails_names_the_rule_and_the_field(api: Api) -> None:
    missing = EVENT | {"data": {"cost": "1"}}
    wrong = EVENT | {"data": {"model": "gpt-6", "cost": "many"}}
    trial = await attempt(api, [missing, wrong, EVENT | {"type": "other"}])
    outcomes = [(each["outcome"], each["rule"], each["failure"]["field"]) for each in trial["events"]]
    assert outcomes == [
        ("unplaced", "model calls", "feature"), ("unplaced", "model calls", "credits"), ("unmapped", None, ""),
    ]  # fmt: skip
    pointers = [each["failure"]["pointer"] for each in trial["events"]]
    assert pointers == ["/data/model", "/data/cost", ""]
    assert "model calls" in trial["events"][0]["failure"]["detail"]


async def test_a_batch_has_a_result_for_each_event_in_its_order(api: Api) -> None:
    document = {**DOCUMENT, "rules": [IGNORES, RULE]}
    trial = await attempt(api, [EVENT, EVENT | {"id": "p", "type": "ping"}, EVENT | {"id": "x", "data": {}}], document)
    assert [(each["id"], each["outcome"], each["rule"]) for each in trial["events"]] == [
        ("call-1", "usage", "model calls"), ("p", "ignored", "pings"), ("x", "unplaced", "model calls"),
    ]  # fmt: skip
    assert [each["usage"] is None for each in trial["events"]] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps([EVENT] * (EVENTS_MAX + 1)), f"More than {EVENTS_MAX} events"),
        ('{"id": 1}\n{"id": 2', "not valid JSON"),
    ],
)
async def test_a_text_without_events_says_why(api: Api, text: str, why: str) -> None:
    trial = await attempt(api, text)
    assert trial["events"] == trial["mistakes"] == []
    assert why in trial["unreadable"]


async def test_what_is_no_event_of_the_protocol_says_where(api: Api) -> None:
    trial = await attempt(api, [EVENT, 1, {}, {"id": "x", "source": "s", "type": "t", "time": "today"}])
    assert [(each["id"], each["outcome"], each["failure"] and each["failure"]["pointer"]) for each in trial["events"]] == [
        ("call-1", "usage", None), (None, "unreadable", ""), (None, "unreadable", "/id"), ("x", "unreadable", "/time"),
    ]  # fmt: skip


async def test_any_number_can_be_answered(api: Api) -> None:
    numbers = '{"cost": 1e999999, "big": 123456789012345678901234567890, "small": 1e-400, "model": "m"}'
    text = json.dumps(EVENT).replace(json.dumps(EVENT["data"]), numbers)
    (tried,) = (await attempt(api, text))["events"]
    assert (tried["outcome"], tried["failure"]["field"]) == ("unplaced", "credits")
    assert tried["event"]["data"]["big"] == "123456789012345678901234567890"


@pytest.mark.parametrize("form", ["request", "view"])
async def test_otlp_is_tried_as_a_request_or_as_the_view_that_pointers_lead_into(api: Api, form: str) -> None:
    made, example = ready_made()["claude-code"], example_of("claude-code")
    trial = await attempt(api, example or "", json.loads(made.text), "otlp_logs")
    view = trial["events"][0]["event"]
    assert view["resource"] == {"service.name": "claude-code"}
    if form == "view":
        again = await attempt(api, view, json.loads(made.text), "otlp_logs")
        assert again["events"][0]["usage"]["data"] == trial["events"][0]["usage"]["data"]
        return
    body = json.loads(example or "")
    records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    records.append({"timeUnixNano": "1", "attributes": []})
    trial = await attempt(api, body, json.loads(made.text), "otlp_logs")
    assert [(each["outcome"], each["rule"]) for each in trial["events"]] == [
        ("usage", "API requests"), ("ignored", "other log records"),
    ]  # fmt: skip
    trial = await attempt(api, '{"resourceLogs": 7}', json.loads(made.text), "otlp_logs")
    assert "ExportLogsServiceRequest" in trial["unreadable"]


async def test_lines_of_json_are_events(api: Api) -> None:
    lines = "\n".join(json.dumps(EVENT | {"id": f"call-{number}"}) for number in range(3))
    trial = await attempt(api, f"\n{lines}\n")
    assert [(each["id"], each["outcome"]) for each in trial["events"]] == [(f"call-{n}", "usage") for n in range(3)]


async def test_without_an_event_only_the_document_is_checked(api: Api) -> None:
    for body in ({}, {"event": " \n"}):
        answer = await api.send("POST", TRY, {"document": DOCUMENT, "protocol": "lago", **body})
        assert answer.json() == {"mistakes": [], "unreadable": None, "events": []}


async def test_requests_are_bounded(api: Api) -> None:
    answer = await api.send("POST", TRY, {"document": DOCUMENT, "protocol": "lago", "event": "x" * (EVENT_CHARACTERS_MAX + 1)})  # fmt: skip
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/event")
    answer = await api.send("POST", TRY, {"document": {"type": "x" * 300_000}, "protocol": "lago"})
    assert answer.status_code == 413
    answer = await api.send("POST", TRY, {"document": [], "protocol": "lago"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/document")


async def test_nothing_of_a_trial_is_stored(api: Api, db: TableRows) -> None:
    await attempt(api, EVENT)
    assert await db.count("SELECT count(*) FROM audit_log") == 0


async def test_each_ready_made_mapping_counts_its_example(api: Api) -> None:
    listed = (await api.get("/api/v1/mappings/ready-made"))["mappings"]
    assert [each["name"] for each in listed] == list(ready_made())
    for each in listed:
        trial = await attempt(api, each["example"], each["document"], each["protocol"])
        assert [tried["outcome"] for tried in trial["events"]] == ["usage"], (each["name"], trial)
