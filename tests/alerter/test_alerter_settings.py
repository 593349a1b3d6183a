"""The alerter's settings."""

import socket
from typing import Any

import pytest
from alerter.faust.app import credentials_of
from alerter.settings import Settings
from pydantic import ValidationError

GIVEN = {
    "kafka_bootstrap": "k:9092", "postgres_dsn": "postgres://x", "probe_port": 1, "mail_from": "flex@flex.example",
    "dashboard_url": "https://flex.example", "smtp_url": "smtps://mail.flex.example",
}  # fmt: skip


def settings(**changes: Any) -> Settings:
    return Settings.model_validate(GIVEN | changes)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtps://mail.example", ("mail.example", 465, "implicit", None)),
        ("smtp+starttls://me%40x:s%2Fe@mail.example", ("mail.example", 587, "required", "me@x")),
        ("smtp://127.0.0.1:1025", ("127.0.0.1", 1025, "offered", None)),
    ],
)
def test_reads_the_mail_servers_address(url: str, expected: tuple[Any, ...]) -> None:
    server = settings(smtp_url=url).mail_server()
    assert (server.host, server.port, server.tls, server.username) == expected


def test_greets_with_a_fully_qualified_name() -> None:
    assert settings(smtp_helo_name="alerts.flex.example").mail_server().helo_name == "alerts.flex.example"
    default = settings(mail_from="flex@bücher.example").mail_server().helo_name
    assert default == (socket.gethostname() if "." in socket.gethostname() else "xn--bcher-kva.example")


def test_the_password_is_decoded_and_not_shown() -> None:
    given = settings(smtp_url="smtps://me:hunt%2Fer2@mail.example")
    assert given.mail_server().password.get_secret_value() == "hunt/er2"
    assert "er2" not in repr(given) + repr(given.mail_server())


@pytest.mark.parametrize(
    "changes",
    [
        {"smtp_url": "smtp://mail.example"},
        {"smtp_url": "http://mail.example"},
        {"smtp_url": "smtps://"},
        {"mail_from": "a@b, c@d"},
        {"mail_from": "a@b\r\nBcc: c@d"},
        {"mail_from": "a@-ü-.example"},
        {"mail_from": "jörg@flex.example"},
        {"smtp_helo_name": "two names"},
        {"dashboard_url": "javascript:alert(1)"},
        {"sweep_interval_s": 0},
        {"flexcredits_unsubscribe_secret": "x" * 31},
        {"smtp_send_s": 60},
        {"smtp_answer_s": 0},
    ],
)
def test_refuses_what_is_unsafe_or_senseless(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_takes_no_unsubscribe_secret_or_one_that_is_long_enough() -> None:
    assert settings().mail_config().unsubscribe_secret == ""
    given = settings(flexcredits_unsubscribe_secret="ü" * 16, dashboard_url="https://flex.example/")
    assert given.mail_config().unsubscribe_secret == "ü" * 16
    assert given.mail_config().dashboard_url == "https://flex.example"
    assert "ü" not in repr(given) + repr(given.mail_config())


def test_the_mail_servers_limits_and_authorities_are_settings() -> None:
    server = settings(smtp_send_s=5, smtp_answer_s=2, smtp_ca_file="/etc/ca.pem").mail_server()
    assert (server.send_within_s, server.answer_within_s, str(server.ca_file)) == (5, 2, "/etc/ca.pem")


def test_takes_a_mail_server_without_tls_outside_production() -> None:
    assert settings(smtp_url="smtp://mail.example", flexcredits_env="development").mail_server().tls == "offered"


def test_faust_gets_the_same_credentials_as_every_client() -> None:
    assert credentials_of(settings()) is None
    sasl = {"kafka_username": "u", "kafka_password": "p"}
    plain = credentials_of(settings(kafka_security_protocol="SASL_PLAINTEXT", **sasl))
    assert (plain.username, plain.password, plain.mechanism.value) == ("u", "p", "SCRAM-SHA-512")
    assert plain.protocol.value == "SASL_PLAINTEXT"
    assert credentials_of(settings(kafka_security_protocol="SASL_SSL", **sasl)).protocol.value == "SASL_SSL"
    assert credentials_of(settings(kafka_security_protocol="SSL")).protocol.value == "SSL"
