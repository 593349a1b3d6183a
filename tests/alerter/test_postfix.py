"""The mailer against a real Postfix, which refuses most mail only at RCPT TO. Skipped without Postfix."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from alerter.domain.attempts import Attempt
from cryptography.x509 import IPAddress
from support.infra.certificates import make_certificate
from support.infra.postfix import Postfix, logins, postfix
from support.services.mailer import attempt

KNOWN = {"mynetworks": "127.0.0.0/8"}
STRANGER = {"mynetworks": "", "smtpd_relay_restrictions": "reject_unauth_destination"}
LISTENERS = {
    "plain": KNOWN,
    "any_name": KNOWN | {"local_recipient_maps": ""},
    "ascii": KNOWN | {"local_recipient_maps": "", "smtputf8_enable": "no"},
    "helo": STRANGER | {"smtpd_helo_required": "yes", "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"},
    "sender": STRANGER | {"smtpd_sender_restrictions": "check_sender_access inline:{{flex.example = 550 5.1.8 Domain not found}}"},
    "client": STRANGER | {"smtpd_client_restrictions": "reject"},
    "stranger": STRANGER,
    "starttls": KNOWN | {"smtpd_tls_security_level": "encrypt"},
    "smtps": KNOWN | {"smtpd_tls_wrappermode": "yes"},
    "login": STRANGER | {"smtpd_relay_restrictions": "permit_sasl_authenticated, reject", "smtpd_sasl_auth_enable": "yes",
                         "smtpd_tls_security_level": "encrypt"},
    "small": KNOWN | {"message_size_limit": "200"},
}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "mail.pem", IPAddress(ip_address("127.0.0.1")))


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[Postfix]:
    with postfix(certificate, LISTENERS) as started:
        yield started


async def send(server: Postfix, listener: str, scheme: str = "smtp", login: str = "", **more: Any) -> Attempt:
    return await attempt(server.ports[listener], scheme, login, **more)


async def test_takes_a_mail(server: Postfix) -> None:
    made = await send(server, "plain")
    assert (made.outcome, made.detail[:14]) == ("sent", "2.0.0 Ok: queu")


async def test_one_of_three_is_unknown_and_only_that_one_fails_for_good(server: Postfix) -> None:
    to = ("ada@acme.example", "unknown@acme.example", "ben@acme.example")
    made = [await send(server, "plain", to=each) for each in to]
    assert [each.outcome for each in made] == ["sent", "refused", "sent"]
    assert made[1].detail.startswith("550 5.1.1 <unknown@acme.example>: Recipient address rejected: User unknown")


@pytest.mark.parametrize(
    ("listener", "to", "words"),
    [
        ("helo", "ada@acme.example", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
        ("sender", "ada@acme.example", "550 5.1.8 <flex@flex.example>: Sender address rejected"),
        ("client", "ada@acme.example", "554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Access denied"),
        ("stranger", "eve@other.example", "554 5.7.1 <eve@other.example>: Relay access denied"),
    ],
)
async def test_what_it_refuses_of_us_at_rcpt_is_tried_again(
    server: Postfix, listener: str, to: str, words: str
) -> None:
    made = await send(server, listener, to=to, smtp_helo_name="localhost")
    assert made.outcome == "deferred"
    assert made.detail.startswith(words)


async def test_the_default_name_is_taken_where_it_must_be_fully_qualified(server: Postfix) -> None:
    assert (await send(server, "helo")).outcome == "sent"


async def test_a_mail_that_is_too_big_fails_for_good(server: Postfix) -> None:
    made = await send(server, "small")
    assert (made.outcome, made.detail[:9]) == ("refused", "552 5.3.4")


async def test_a_name_beyond_ascii_needs_smtputf8(server: Postfix) -> None:
    assert (await send(server, "any_name", to="jörg@acme.example")).outcome == "sent"
    made = await send(server, "ascii", to="jörg@acme.example")
    assert made.outcome == "refused"
    assert "SMTPUTF8" in made.detail


@pytest.mark.parametrize(("listener", "scheme"), [("starttls", "smtp+starttls"), ("smtps", "smtps")])
async def test_tls_in_both_modes(server: Postfix, certificate: Path, listener: str, scheme: str) -> None:
    assert (await send(server, listener, scheme, smtp_ca_file=certificate)).outcome == "sent"
    untrusted = await send(server, listener, scheme)
    assert untrusted.outcome == "deferred"
    assert "certificate verify failed: self-signed certificate" in untrusted.detail


async def test_a_login_opens_it_and_a_wrong_password_or_none_is_tried_again(server: Postfix, certificate: Path) -> None:
    async with logins(server.folder / "auth", "flex", "secret"):
        right = await send(server, "login", "smtp+starttls", "flex:secret@", smtp_ca_file=certificate)
        wrong = await send(server, "login", "smtp+starttls", "flex:wrong@", smtp_ca_file=certificate)
        none = await send(server, "login", "smtp+starttls", smtp_ca_file=certificate)
    assert right.outcome == "sent", right
    assert (wrong.outcome, wrong.detail[:9]) == ("deferred", "535 5.7.8")
    assert (none.outcome, none.detail[:9]) == ("deferred", "554 5.7.1")
