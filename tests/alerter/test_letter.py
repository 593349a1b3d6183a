"""The mail about a firing: what it says, and what nobody can make it say."""

import email
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any

import pytest
from alerter.letter import amount, header_text, write_letter
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 22, 10, 15, 4, tzinfo=UTC)
C = 1_000_000


def facts(**changes: Any) -> dict[str, Any]:
    return {
        "organization": "org_acme", "name": "Acme", "threshold": 90, "used": 36_012_345_678, "available": 40_000 * C,
        "period": {"id": "2026 H2", "from": "2026-07-15", "to": "2027-01-15"}, "ended": False, "time_zone": "Europe/Berlin",
        "at": "2026-11-22T11:15:04+01:00",
        "products": [
            {"product": "assistant", "contracted": 30_000 * C, "used": 20_000 * C},
            {"product": "agents", "contracted": None, "used": 15_500 * C},
            {"product": "api", "contracted": 500 * C, "used": 512_345_678},
        ],
        "drivers": [{"product": "assistant", "name": "Claude Opus 5", "credits": 18_000 * C}],
    } | changes  # fmt: skip


def letter(to: str = "ada@acme.example", **changes: Any) -> EmailMessage:
    return write_letter(
        facts(**changes), recipient=to, message_id="<alert.0a@flex.example>", created_at=AT,
        sender="flex@flex.example", dashboard_url="https://flex.example/",
    )  # fmt: skip


def read(message: EmailMessage) -> EmailMessage:
    """As a mail program does."""
    parsed = email.message_from_bytes(message.as_bytes(policy=SMTP), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def bodies(message: EmailMessage) -> tuple[str, str]:
    plain, html = read(message).iter_parts()
    return plain.get_content(), html.get_content()


def test_says_the_fact_the_number_and_what_drives_it_in_text_and_html() -> None:
    message = read(letter())
    assert message["Subject"] == "90 % of FlexCredits used: 36,012 of 40,000 (Acme)"
    assert message["Message-ID"] == "<alert.0a@flex.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["To"] == "ada@acme.example"
    assert message["List-Unsubscribe"] is None  # roles are managed in the dashboard
    assert message.get_content_type() == "multipart/alternative"
    for body in bodies(letter()):
        for words in ("90.0", "36,012.34", "40,000.00", "3,987.65", "Claude Opus 5", "18,000.00", "12.34 over",
                      "15 July 2026 to 14 January 2027", "22 November 2026, 11:15 (Europe/Berlin)"):  # fmt: skip
            assert words in body, words
        assert "https://flex.example/?credit_period=2026%20H2" in body
    assert bodies(letter())[1].count("<a ") == 1, "one button"


def test_overage_replaces_what_remains() -> None:
    for body in bodies(letter(threshold=100, used=41_000 * C)):
        assert "Overage" in body
        assert "1,000.00" in body
        assert "Remaining" not in body
        assert "102.5" in body


def test_names_a_period_that_has_ended() -> None:
    message = read(letter(ended=True))
    assert "in a period that has ended" in message["Subject"]
    assert all("in a credit period that has ended" in body for body in bodies(letter(ended=True)))


def test_without_drivers_says_nothing_of_them() -> None:
    assert all("What used most" not in body for body in bodies(letter(drivers=[])))


def test_is_the_same_bytes_each_time() -> None:
    assert letter().as_bytes() == letter().as_bytes()


def test_amounts_are_rounded_down() -> None:
    assert [amount(micro) for micro in (0, 9_999, 10_000, 1_234_567_899_999)] == [
        "0.00",
        "0.00",
        "0.01",
        "1,234,567.89",
    ]


HOSTILE = [
    "A x=?UTF-8?Q?=0A?=Bcc: injected@example.com",
    "x\r\nBcc: injected@example.com",
    "=?utf-8?b?DQpCY2M6IGluamVjdGVkQGV4YW1wbGUuY29t?=",
    "=\r?utf-8?q?=0D=0ABcc:_injected@example.com?=",
    "x\u2028Bcc: injected@example.com",
    "x\x85Bcc: injected@example.com",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_cannot_add_a_header(name: str) -> None:
    message = letter(name=name)
    head, _, _ = message.as_bytes().partition(b"\r\n\r\n")
    assert b"\nbcc:" not in head.lower()
    headers = {header.lower() for header in read(message)}
    assert headers == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
    }  # fmt: skip


@given(st.text())
def test_header_text_is_one_line_without_encoded_words(text: str) -> None:
    assert not re.search(r"[\r\n\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?", header_text(text))


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=80))
def test_any_name_gives_a_mail_with_the_headers_it_should_have(name: str) -> None:
    assert len(read(letter(name=name)).keys()) == 8


def test_markup_in_names_is_text() -> None:
    driver = {"product": "assistant", "name": "<img src=x onerror=alert(1)>", "credits": C}
    _, html = bodies(letter(name="<b>Acme</b> & Co", drivers=[driver]))
    assert "<b>" not in html
    assert "<img" not in html
    assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Co" in html


@pytest.mark.parametrize("address", ["a", "@acme.example", "a@", "a\r\nBcc: b@acme.example"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller records its text
        letter(address)


@pytest.mark.parametrize(
    "address", ["a..b@acme.example", "a(b@acme.example", "a@x, b@acme.example", "jörg@acme.example"]
)
def test_an_address_is_one_recipient_whatever_is_in_it(address: str) -> None:
    [only] = letter(address)["To"].addresses
    assert (only.username, only.domain) == tuple(address.rsplit("@", 1))
