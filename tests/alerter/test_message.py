"""The mail about a firing: its content, and attempts to inject content."""

import email
import re
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from email.policy import SMTP, default
from html import unescape
from typing import Any

import pytest
from alerter.domain.mails import Mail
from alerter.email.message import MailConfig, NotAnAddress, header_text, write_message
from alerter.email.text import describe, moment
from flexcredits_schemas.unsubscribe import Unsubscription, unseal
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 22, 10, 15, 4, tzinfo=UTC)
C = 1_000_000
SECRET = "a secret of at least thirty-two bytes"
CONFIG = MailConfig("flex@flex.example", "https://flex.example", SECRET)
NAMES = {
    "from", "to", "subject", "date", "message-id", "auto-submitted", "x-auto-response-suppress", "list-id", "references",
    "mime-version", "content-type",
}  # fmt: skip


def context(**changes: Any) -> dict[str, Any]:
    return {
        "rule": "usage", "organization": "org_acme", "name": "Acme", "threshold": 90, "used": 36_012_345_678, "available": 40_000 * C,
        "period": {"contract": "c1", "id": "2026 H2", "from": "2026-07-15", "to": "2027-01-15"}, "elapsed_permille": 707,
        "ended": False, "time_zone": "Europe/Berlin",
        "at": "2026-11-22T11:15:04+01:00",
        "products": [
            {"product": "assistant", "contracted": 30_000 * C, "used": 20_000 * C},
            {"product": "agents", "contracted": None, "used": 15_500 * C},
            {"product": "api", "contracted": 500 * C, "used": 512_345_678},
        ],
        "drivers": [{"product": "assistant", "name": "Claude Opus 5", "credits": 18_000 * C}],
    } | changes  # fmt: skip


def budget_context(**changes: Any) -> dict[str, Any]:
    return context(
        rule="budget", threshold=75, used=3_760 * C, available=5_000 * C, elapsed_permille=380,
        period={"contract": "", "id": "2026-11", "from": "2026-11-01", "to": "2026-12-01"},
        products=[{"product": "assistant", "contracted": None, "used": 3_760 * C}],
        drivers=[{"product": "assistant", "name": "Claude Opus 5", "credits": 1_880 * C}],
    ) | changes  # fmt: skip


def context_of_a_test(**changes: Any) -> dict[str, Any]:
    """Context of a test mail."""
    return {
        name: value for name, value in context(test={"thresholds": [75, 90]}, **changes).items() if name != "threshold"
    }


def message_about(
    what: dict[str, Any], to: str = "ada@acme.example", *, additional: bool = False, config: MailConfig = CONFIG
) -> EmailMessage:
    return write_message(Mail(1, "<alert.0a@flex.example>", to, additional, AT, 1, 0.0, what), config)


def message_with(to: str = "ada@acme.example", **changes: Any) -> EmailMessage:
    return message_about(context(**changes), to)


def read(message: EmailMessage) -> EmailMessage:
    """Parse a mail as a mail program does."""
    parsed = email.message_from_bytes(message.as_bytes(policy=SMTP), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def bodies(message: EmailMessage) -> tuple[str, str]:
    plain, html = read(message).iter_parts()
    return plain.get_content(), html.get_content()


def text_of(html: str) -> str:
    """Visible text, on one line."""
    inline = re.sub(r"</?(?:strong|span|a)\b[^>]*>", "", html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inline)).replace("\xa0", " ").split())


def test_shows_the_threshold_the_number_and_the_top_usage_in_text_and_html() -> None:
    message = read(message_with())
    assert message["Subject"] == "You've used 90% of your credits: 36,012 of 40,000 (Acme)"
    assert message["Message-ID"] == "<alert.0a@flex.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["To"] == "ada@acme.example"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["List-Id"] == "<usage.org-acme.flexcredits.flex.example>"
    assert message["List-Unsubscribe"] is None  # roles are managed in the dashboard
    assert message.get_content_type() == "multipart/alternative"
    for body in bodies(message_with()):
        for words in ("You've used 90% of your credits", "36,012 of 40,000 credits used", "90%", "3,988", "Claude Opus 5", "18,000", "50.0%",
                      "512.3 of 500", "12.3 over, covered by the pool", "Jul 15, 2026 – Jan 14, 2027",
                      "You're ahead of pace: 70% of the credit period has passed.", "an admin or billing moderator of Acme",
                      "Nov 22, 2026, 11:15 CET", "Usage is never blocked."):  # fmt: skip
            assert words in text_of(body), words
        assert "https://flex.example/?panel=alerts" in body
        assert "https://flex.example/?credit_period=c1/2026%20H2" in body
        assert "nsubscribe" not in body
    assert bodies(message_with())[1].count('class="button"') == 1


@pytest.mark.parametrize("length", range(1, 129))
def test_a_subject_begins_on_the_line_of_its_name_however_long(length: int) -> None:
    for name in ("o" * length, "ö" * length, "o " * (length // 2) + "o"):
        message = message_about(context(name=name))
        line = message.as_bytes().partition(b"\r\nSubject: ")[2].partition(b"\r\n")[0]
        assert line.startswith(b"You've used")
        assert read(message)["Subject"] == f"You've used 90% of your credits: 36,012 of 40,000 ({name})"


def test_a_budgets_mail_names_the_month_and_leads_to_it() -> None:
    message = message_about(budget_context())
    assert read(message)["Subject"] == "You've used 75.2% of your November 2026 budget: 3,760 of 5,000 (Acme)"
    assert read(message)["List-Id"] == "<budget.org-acme.flexcredits.flex.example>"
    for body in bodies(message):
        for words in ("You've used 75.2% of your November 2026 budget", "3,760 of 5,000", "1,240", "38% of the month has passed",
                      "You're ahead of pace", "Claude Opus 5", "A budget never blocks usage."):  # fmt: skip
            assert words in text_of(body), words
    plain, html = bodies(message)
    assert "https://flex.example/?from=2026-11&to=2026-11" in plain
    assert 'href="https://flex.example/?from=2026-11&amp;to=2026-11"' in html
    assert "redit period" not in plain + html


def test_a_budget_that_is_exceeded_says_by_how_much() -> None:
    for body in bodies(message_about(budget_context(threshold=100, used=5_100 * C))):
        assert "Over budget" in body
        assert re.search(r"Over budget\s+100\s", text_of(body))
        assert "Remaining" not in body


def test_late_usage_of_a_month_says_that_it_has_ended() -> None:
    message = message_about(budget_context(ended=True, elapsed_permille=1000))
    assert read(message)["Subject"].startswith("You used 75.2% of your November 2026 budget, including late usage: ")
    assert all(
        "The month has ended. Usage that arrives late still counts toward it." in body for body in bodies(message)
    )


@pytest.mark.parametrize("rule_context", [context, budget_context])
def test_an_additional_recipient_can_leave_by_one_click(rule_context: Any) -> None:
    message = read(message_about(rule_context(), "bob@finance.example", additional=True))
    [(url, token)] = re.findall(r"^<(https://flex\.example/unsubscribe\?token=(\S+))>$", message["List-Unsubscribe"])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    what = Unsubscription("org_acme", rule_context()["rule"], "bob@finance.example")
    assert unseal(token, SECRET) == what
    for body in bodies(message):
        assert url in body
        assert "an admin of Acme added you to its" in body
        assert "panel=alerts" not in body, "they have no access to the dashboard"
        assert "billing moderator" not in body


def test_without_a_secret_there_is_no_link_that_cannot_work() -> None:
    config = MailConfig("flex@flex.example", "https://flex.example")
    message = message_about(context(), additional=True, config=config)
    assert message["List-Unsubscribe"] is None
    assert message["List-Unsubscribe-Post"] is None
    assert all(
        "/unsubscribe" not in body and "To stop, ask an admin to remove you." in body for body in bodies(message)
    )


def test_a_long_link_stays_whole_in_its_header() -> None:
    """Python would split it into encoded words, which are not a link; RFC 5322 allows 998 characters."""
    recipient = f"{'a' * 64}@{'.'.join(['b' * 60] * 3)}.example"
    message = message_about(context(organization="o" * 64), recipient, additional=True)
    head = message.as_bytes().partition(b"\r\n\r\n")[0].decode()
    [line] = [line for line in head.split("\r\n") if line.startswith("List-Unsubscribe: ")]
    assert len(line) < 998
    token = line.removeprefix("List-Unsubscribe: <https://flex.example/unsubscribe?token=").removesuffix(">")
    assert unseal(token, SECRET).recipient == recipient


def test_mails_of_one_period_are_one_thread_and_others_are_not() -> None:
    threads = [read(message_with(threshold=threshold))["References"] for threshold in (75, 90, 100)]
    assert len(set(threads)) == 1
    others = [
        message_with(period=context()["period"] | {"id": "2027 H1"}), message_with(period=context()["period"] | {"contract": "c2"}),
        message_with(organization="org_other"), message_about(budget_context()),
    ]  # fmt: skip
    assert len({read(other)["References"] for other in others} | set(threads)) == 5
    assert message_about(context_of_a_test())["References"] is None


def test_a_test_says_so_and_shows_the_real_numbers() -> None:
    message = message_about(context_of_a_test())
    assert read(message)["Subject"] == "Test: You've used 90% of your credits: 36,012 of 40,000 (Acme)"
    for body in bodies(message):
        for words in ("This is a test you requested.", "It was sent only to you, with current numbers.", "36,012", "75%, 90%", "you requested a test"):  # fmt: skip
            assert words in body, words


@pytest.mark.parametrize(("rule", "words"), [("usage", "There are no contracted credits right now."), ("budget", "There is no budget for this month.")])  # fmt: skip
def test_a_test_without_anything_to_compare_with_says_that(rule: str, words: str) -> None:
    nothing = {"rule": rule, "organization": "org_acme", "name": "Acme", "test": {"thresholds": []}, "used": None}
    message = message_about(nothing)
    assert read(message)["Subject"] == "Test: FlexCredits alerts reach you (Acme)"
    for body in bodies(message):
        assert words in body
        assert "This is a test you requested." in body
        assert "alerts reach you" in body


@pytest.mark.parametrize(
    ("used_permille", "elapsed_permille", "words"),
    [
        (900, 700, "You're ahead of pace: 70% of the credit period has passed."),
        (710, 700, "You're on pace: 70% of the credit period has passed."),
        (500, 700, "You're below pace: 70% of the credit period has passed."),
        (750, 4, "You're ahead of pace: less than 1% of the credit period has passed."),
    ],
)
def test_the_pace_is_said_in_words(used_permille: int, elapsed_permille: int, words: str) -> None:
    plain, html = bodies(message_with(used=used_permille * 40 * C, elapsed_permille=elapsed_permille))
    assert words in plain
    assert words in text_of(html)


def test_overage_replaces_what_remains() -> None:
    for body in bodies(message_with(threshold=100, used=41_000 * C)):
        assert "Overage" in body
        assert "1,000" in body
        assert "Remaining" not in body
        assert "102.5%" in body
        assert "12.3 over" in body
        assert "covered by" not in body


def test_names_a_period_that_has_ended() -> None:
    message = read(message_with(ended=True))
    assert message["Subject"].startswith("You used 90% of your credits in a credit period that has ended: ")
    assert all("in a credit period that has ended" in body for body in bodies(message_with(ended=True)))


def test_without_drivers_says_nothing_of_them() -> None:
    assert all("Top usage" not in body for body in bodies(message_with(drivers=[])))


@pytest.mark.parametrize("additional", [False, True])
def test_is_the_same_bytes_each_time(additional: bool) -> None:
    for what in (context(), budget_context(), context_of_a_test()):
        assert (
            message_about(what, additional=additional).as_bytes()
            == message_about(what, additional=additional).as_bytes()
        )


@pytest.mark.parametrize(
    ("used", "available", "words"),
    [
        ("99.7", "100", ["99.7% of your credits", "99.7 of 100 credits used"]),
        ("89.5", "110", ["81.4% of your credits", "89.5 of 110 credits used"]),
        ("0.7", "0.8", ["87.5% of your credits", "0.7 of 0.8 credits used"]),
        ("0.003999", "0.004", ["99.9% of your credits", "0.003999 of 0.004 credits used"]),
        ("99.999999", "100", ["99.9% of your credits", "99.9 of 100 credits used"]),
        ("0.01", "100", ["less than 0.1% of your credits", "0.01 of 100 credits used"]),
        ("10481", "100", ["more than 999% of your credits", "10,481 of 100 credits used"]),
        ("-0.46", "100", ["-0.5% of your credits", "-0.46 of 100 credits used"]),
        ("-1.25", "10", ["-12.5% of your credits", "-1.25 of 10 credits used"]),
    ],
)
def test_the_numbers_of_a_mail_do_not_contradict_each_other(used: str, available: str, words: list[str]) -> None:
    micro = [int(Decimal(text) * C) for text in (used, available)]
    products = [{"product": "assistant", "contracted": None, "used": micro[0]}]
    for body in bodies(message_with(used=micro[0], available=micro[1], products=products, drivers=[])):
        assert all(text in text_of(body) for text in words)
        shown = words[1].partition(" of ")[0]
        assert re.search(rf"Assistant\s+{re.escape(shown)}\s", text_of(body)), "the product has all of it"


def test_what_corrections_took_back_is_no_top_usage_and_leaves_no_more_than_there_is() -> None:
    refund = {"product": "api", "name": "Refunded", "credits": -3 * C}
    top = {"product": "assistant", "name": "Search", "credits": 2 * C}
    for body in bodies(message_with(used=-1 * C, available=10 * C, drivers=[top, refund], products=[])):
        assert "Refunded" not in body
        assert re.search(r"Remaining\s+10\s", text_of(body))
        assert re.search(r"Search (\(Assistant\)|Assistant) 2 ", text_of(body)), "no share of less than nothing"


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("America/New_York", "Nov 22, 2026, 05:15 EST"),
        ("Asia/Kathmandu", "Nov 22, 2026, 16:00 GMT+5:45"),
        ("America/Sao_Paulo", "Nov 22, 2026, 07:15 GMT-3"),
        ("UTC", "Nov 22, 2026, 10:15 UTC"),
    ],
)
def test_instants_carry_the_organizations_zone(zone: str, text: str) -> None:
    assert moment(AT, zone) == text


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
    for what in (context, budget_context, context_of_a_test):
        message = message_about(what(name=name))
        head, _, _ = message.as_bytes().partition(b"\r\n\r\n")
        assert b"\nbcc:" not in head.lower()
        expected = NAMES if "threshold" in what() else NAMES - {"references"}
        assert {header.lower() for header in read(message)} == expected


@pytest.mark.parametrize("hostile", HOSTILE)
def test_an_additional_recipient_cannot_add_a_header(hostile: str) -> None:
    """The API refuses such addresses; this covers addresses from another source."""
    for address in (f"{hostile}@acme.example", f"bob@{hostile}", f'"{hostile}"@acme.example'):
        try:
            message = message_about(context(), address, additional=True)
        except ValueError:
            continue  # recorded as refused
        head, _, _ = message.as_bytes().partition(b"\r\n\r\n")
        assert b"\nbcc:" not in head.lower()
        parsed = read(message)
        assert {header.lower() for header in parsed} == NAMES | {"list-unsubscribe", "list-unsubscribe-post"}
        assert len(parsed["To"].addresses) == 1


@given(st.text())
def test_header_text_is_one_line_without_encoded_words(text: str) -> None:
    assert not re.search(r"[\r\n\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?", header_text(text))


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=80))
def test_any_name_gives_a_mail_with_the_headers_it_should_have(name: str) -> None:
    assert {header.lower() for header in read(message_with(name=name))} == NAMES


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.integers(0, 1000))
def test_any_numbers_make_a_sentence(used: int, available: int, elapsed_permille: int) -> None:
    text = describe(context(used=used, available=available, elapsed_permille=elapsed_permille), "https://flex.example")
    assert 0 <= text["filled"] <= 100
    assert (text["overage"] is None) == (used <= available)


def test_markup_in_names_is_text() -> None:
    driver = {"product": "assistant", "name": "<img src=x onerror=alert(1)>", "credits": C}
    _, html = bodies(message_with(name="<b>Acme</b> & Co", drivers=[driver]))
    assert "<b>" not in html
    assert "<img" not in html
    assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Co" in html


@pytest.mark.parametrize(
    "address",
    ["a", "@acme.example", "a@", "a\r\nBcc: b@acme.example", "a@x y", "a@x>", "a@-ü-.example", f"a@{'ü' * 64}.example"],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(NotAnAddress):
        message_with(address)


@pytest.mark.parametrize(
    "address", ["a..b@acme.example", "a(b@acme.example", "a@x, b@acme.example", "jörg@acme.example"]
)
def test_an_address_is_one_recipient_whatever_is_in_it(address: str) -> None:
    [only] = message_with(address)["To"].addresses
    assert (only.username, only.domain) == tuple(address.rsplit("@", 1))


def test_a_credit_period_without_an_end_has_no_pace() -> None:
    period = {"contract": "c1", "id": "p1", "from": "2026-01-01", "to": "9999-12-31"}
    message = message_about(context(period=period, elapsed_permille=0))
    for part in message.iter_parts():
        text = part.get_content()
        assert "since Jan 1, 2026" in text
        assert "The credit period has no end date." in text
        assert " pace" not in text
        assert "9999" not in text


@pytest.mark.parametrize(
    ("changes", "month"),
    [
        ({}, "2026-11"), ({"at": "2026-11-30T23:30:00+00:00"}, "2026-12"), ({"ended": True, "at": "2027-01-16T01:00:00+01:00"}, "2027-01"),
        ({"ended": True, "period": {"contract": "c1", "id": "p", "from": "2026-07-01", "to": "2026-10-01"}}, "2026-09"),
    ],
)  # fmt: skip
def test_a_mail_leads_to_why_the_usage_of_its_month_changed(changes: dict[str, Any], month: str) -> None:
    """The month of the organization's zone; of a period that has ended, its last one."""
    url = describe(context(**changes), "https://flex.example")["explain_url"]
    assert url == f"https://flex.example/?from={month}&to={month}&scope=all&panel=explain"
