"""A service's authentication to Kafka."""

import ssl

import pytest
from pydantic import ValidationError
from runtime.kafka.clients import KafkaSettings


def test_plain_connection_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "kafka:9092")
    assert KafkaSettings().kafka_security() == {"security_protocol": "PLAINTEXT"}


def test_scram_over_tls_checks_certificates_and_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP": "kafka:9093",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_USERNAME": "ingest",
        "KAFKA_PASSWORD": "hunter2",
    }.items():
        monkeypatch.setenv(name, value)
    settings = KafkaSettings()
    security = settings.kafka_security()
    context = security.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert security == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ingest",
        "sasl_plain_password": "hunter2",
    }
    assert "hunter2" not in repr(settings)


def test_sasl_without_credentials_is_refused() -> None:
    with pytest.raises(ValidationError, match="KAFKA_PASSWORD"):
        KafkaSettings(kafka_bootstrap="kafka:9093", kafka_security_protocol="SASL_PLAINTEXT", kafka_username="x")
