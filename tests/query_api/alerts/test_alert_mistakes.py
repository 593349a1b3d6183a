"""Refused alert settings, with the place of each error, and unusual settings that are valid."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from query_api.alerts.settings.domain.rules import ADDRESSES_MAX, CREDITS_BELOW, THRESHOLDS_MAX
from query_api.http import body_limit
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

from .test_alert_settings import NO_BUDGET, SETTINGS, asked, save

THRESHOLDS = ["/usage/thresholds", "/monthly_budget/thresholds"]
LISTS = ["/usage/additional_recipients", "/monthly_budget/additional_recipients"]
MALFORMED = [
    "", "ada", "@acme.example", "ada@", "ada@acme", "a b@acme.example", "ada@acme..example", "ada@@acme.example", ".ada@acme.example",
    "Ada <ada@acme.example>", '"ada lovelace"@acme.example', 'a"b@acme.example', "ada@acme.example, bob@acme.example",
    "ada,bob@acme.example", "ada@acme.example;bob@acme.example", "ada@[127.0.0.1]", " ada@acme.example", "ada@acme.example\n",
    "ada@acme.example\r\nBcc: eve@evil.example", "ada\r@acme.example", "ada\n@acme.example", "ada\0@acme.example", "ada@acme\0.example",
    "ada\u2028@acme.example", "ada\u2029@acme.example", "ada\u0085@acme.example", "ada@acme\u2028.example", "ada@acme\u00ad.example",
    "=?utf-8?q?ada=0d=0aBcc:eve?=@acme.example", "ada@=?utf-8?q?acme?=.example", "=?us-ascii?q?x?=@acme.example", "\u00e4da@acme.example",
    "\ud800@acme.example", "ada@\ud800.example", "ada@acme\u3002example", "\uff41da@acme.example", "ada@xn--.example",
    "a" * 65 + "@acme.example", "ada@" + "a." * 125 + "example", "ada@" + "a" * 64 + ".example",
]  # fmt: skip


async def mistakes(api: Api, body: Any) -> list[str]:
    """The error pointers of a refused body. Nothing of the body is saved."""
    answer = await save(api, 0, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert answer.json()["type"] == "/problems/invalid-parameter"
    for error in answer.json()["errors"]:
        assert len(error["detail"]) > 5
        assert error["detail"] in answer.json()["detail"]
    assert (await api.get(SETTINGS))["version"] == 0
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_every_mistake_is_named_where_it_is(api: Api, db: TableRows) -> None:
    await db.organization()
    wrong: list[tuple[str, Any, str]] = []
    for pointer in THRESHOLDS:
        wrong += [
            (pointer, [75, 90, 75], f"{pointer}/2"), (pointer, [0], f"{pointer}/0"), (pointer, [75, 201], f"{pointer}/1"),
            (pointer, [75, -1], f"{pointer}/1"), (pointer, [7.5], f"{pointer}/0"), (pointer, ["75"], f"{pointer}/0"),
            (pointer, [True], f"{pointer}/0"), (pointer, [None], f"{pointer}/0"), (pointer, None, pointer), (pointer, 75, pointer),
            (pointer, list(range(1, THRESHOLDS_MAX + 2)), pointer),
        ]  # fmt: skip
    for pointer in LISTS:
        addresses = f"{pointer}/addresses"
        wrong += [(pointer, {"enabled": True, "addresses": []}, addresses)]
        for enabled in (True, False):
            several = ["ada@acme.example", "bob@acme.example", "ADA@acme.example"]
            wrong += [(pointer, {"enabled": enabled, "addresses": several}, f"{addresses}/2")]
            too_many = [f"person-{n}@acme.example" for n in range(ADDRESSES_MAX + 1)]
            wrong += [(pointer, {"enabled": enabled, "addresses": too_many}, addresses)]
        wrong += [
            (pointer, {"enabled": True, "addresses": [7]}, f"{addresses}/0"), (pointer, {"enabled": 1, "addresses": []}, f"{pointer}/enabled"),
            (pointer, {"addresses": []}, f"{pointer}/enabled"), (pointer, None, pointer),
        ]  # fmt: skip
    for amount in (None, 0, "0", "0.0", "0.000000", -1, "-1", "1.0000001", 0.0000001, "1e3", "five", "", " 5", "5 ", "+5", "5,000", "٥", True, [], CREDITS_BELOW, "1" * 13):  # fmt: skip
        wrong += [("/monthly_budget/credits", amount, "/monthly_budget/credits")]
    wrong += [
        ("/monthly_budget/thresholds", [], "/monthly_budget/thresholds"), ("/monthly_budget/type", "weekly", "/monthly_budget/type"),
        ("/monthly_budget/enabled", "yes", "/monthly_budget/enabled"), ("/usage/extra", 1, "/usage/extra"), ("/a~b", 1, "/a~0b"),
        ("/\ud800", 1, ""), ("/usage", None, "/usage"),
    ]  # fmt: skip
    for pointer, value, where in wrong:
        assert await mistakes(api, asked(pointer, value)) == [where], (pointer, value)


async def test_no_address_can_write_into_the_head_of_a_mail(api: Api, db: TableRows) -> None:
    await db.organization()
    for address in MALFORMED:
        for pointer in LISTS:
            body = asked(pointer, {"enabled": False, "addresses": ["ada@acme.example", address]})
            assert await mistakes(api, body) == [f"{pointer}/addresses/1"], address


async def test_addresses_that_people_have_are_taken_as_they_are_given(api: Api, db: TableRows) -> None:
    await db.organization()
    addresses = ["Ada.Lovelace@Acme.Example", "o'brien+flex@acme.example", "ada@bücher.example", "bob@xn--bcher-kva.example", "a_b-c%d@mail.acme.example", "x" * 64 + "@acme.example"]  # fmt: skip
    given = {"enabled": True, "addresses": addresses}
    saved = await save(api, 0, asked("/usage/additional_recipients", given))
    assert saved.json()["usage"]["additional_recipients"] == given
    twice = {"enabled": True, "addresses": ["ada@bücher.example", "Ada@xn--bcher-kva.example"]}
    answer = await save(api, 1, asked("/usage/additional_recipients", twice))
    assert answer.json()["errors"][0]["pointer"] == "/usage/additional_recipients/addresses/1"


async def test_all_mistakes_are_reported_at_once(api: Api, db: TableRows) -> None:
    await db.organization()
    body = asked("/usage/thresholds", [5, 5, 5])
    body["monthly_budget"] |= {"credits": 0, "thresholds": [], "additional_recipients": {"enabled": True, "addresses": ["x", "x"]}}  # fmt: skip
    budget = "/monthly_budget"
    assert await mistakes(api, body) == [
        "/usage/thresholds/1", "/usage/thresholds/2", f"{budget}/additional_recipients/addresses/0",
        f"{budget}/additional_recipients/addresses/1", f"{budget}/credits", f"{budget}/thresholds",
    ]  # fmt: skip


NO_BODIES = [
    (b"", ""), (b"{", ""), (b"[]", ""), (b"null", ""), (b'"x"', ""), (b"\xff", ""), (b"[" * 10_000, ""), (b'{"usage":NaN}', "/usage"),
    (b'{"usage":' + b"1" * 5000 + b"}", ""),
]  # fmt: skip


async def test_what_is_no_body_is_refused(api: Api, db: TableRows) -> None:
    await db.organization()
    headers = {"Authorization": f"Bearer {api.provider.token()}", "If-Match": '"0"', "Content-Type": "application/json"}
    for body, pointer in NO_BODIES:
        answer = await api.client.put(SETTINGS, content=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_large_body_is_refused_before_it_is_read(api: Api, db: TableRows) -> None:
    await db.organization()
    headers = {"If-Match": '"0"', "Content-Type": "application/json"}  # without authentication
    answer = await api.client.put(SETTINGS, content=b" " * (body_limit.BYTES_MAX + 1), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    largest = {"enabled": True, "addresses": [f"{n:064}@{'a' * 60}.{'b' * 60}.{'c' * 60}.ex" for n in range(ADDRESSES_MAX)]}  # fmt: skip
    body = asked("/usage/additional_recipients", largest) | {"monthly_budget": NO_BUDGET | {"additional_recipients": largest}}  # fmt: skip
    assert (await save(api, 0, body)).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for(
    api: Api, db: TableRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.organization()
    monkeypatch.setattr(body_limit, "WITHIN_S", 0.2)

    async def begin_and_stall() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    answer = await api.client.put(SETTINGS, content=begin_and_stall(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/too-slow")
    assert answer.headers["connection"] == "close"


AMOUNTS: list[tuple[Any, int]] = [
    ("0.000001", 1), ("999999999999.999999", 10**18 - 1), ("007", 7 * MICRO), (1, MICRO), (0.1, 100_000), (1.25, 1_250_000),
    (1e3, 1000 * MICRO), (0.000001, 1), (123456789.123456, 123_456_789_123_456), (1.0, MICRO), (CREDITS_BELOW - 1, (CREDITS_BELOW - 1) * MICRO),
]  # fmt: skip


async def test_credits_are_exact(api: Api, db: TableRows) -> None:
    await db.organization()
    for version, (amount, kept) in enumerate(AMOUNTS):
        assert (await save(api, version, asked("/monthly_budget/credits", amount))).status_code == 200, amount
        assert await db.count("SELECT budget_recurring_credits FROM alert_settings WHERE organization_id > 0") == kept


async def test_a_number_that_may_not_be_the_one_that_was_meant_is_refused(api: Api, db: TableRows) -> None:
    await db.organization()
    answer = await save(api, 0, asked("/monthly_budget/credits", 1234567890123456.5 / 10_000))
    assert "as a string" in answer.json()["errors"][0]["detail"]
