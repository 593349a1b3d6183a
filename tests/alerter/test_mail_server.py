"""STARTTLS, TLS, certificates, passwords and time limits, against a real server with its own certificate."""

import asyncio
import ssl
import subprocess
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from alerter.email.smtp import open_tls
from cryptography.x509 import IPAddress
from support.infra.certificates import make_certificate, serving
from support.services.alerter import smtp_server
from support.services.mailer import TO, attempt, settings

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "mail.pem", IPAddress(ip_address("127.0.0.1")))


async def send(port: int, scheme: str, login: str = "", **more: Any) -> str:
    made = await attempt(port, scheme, login, **more)
    assert made.outcome == "sent", made
    return made.detail


async def fail(port: int, scheme: str, login: str = "", **more: Any) -> str:
    """Send a mail that must be deferred; returns the reason."""
    made = await attempt(port, scheme, login, **more)
    assert made.outcome == "deferred", f"an operator can fix it: {made}"
    return made.detail


def authenticator(server: Any, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"flex", PASSWORD.encode()), handled=False)


async def test_starttls_is_used_when_it_is_required(certificate: Path) -> None:
    async with smtp_server(smtp={"tls_context": serving(certificate), "require_starttls": True}) as server:
        assert await send(server.port, "smtp+starttls", smtp_ca_file=certificate) == "taken"
    assert server.encrypted == [True]


async def test_replaced_authorities_are_trusted_in_the_next_period(certificate: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    make_certificate(trusted, IPAddress(ip_address("127.0.0.2")))
    server = settings(25, "smtps", smtp_ca_file=trusted).mail_server()
    first = open_tls(server, 1)
    trusted.write_bytes(certificate.read_bytes())
    [expected] = authorities_in(certificate)
    assert open_tls(server, 1) is first, "the files are read once in a period"
    assert expected not in first.get_ca_certs(binary_form=True)
    assert expected in open_tls(server, 2).get_ca_certs(binary_form=True)


def authorities_in(certificate: Path) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context.get_ca_certs(binary_form=True)


async def test_starttls_that_is_required_and_not_offered_defers_and_nothing_is_sent_in_clear() -> None:
    async with smtp_server() as server:
        words = await fail(server.port, "smtp+starttls", "flex:secret@")
    assert words == "SMTPException: SMTP STARTTLS extension not supported by server."
    assert server.got == []
    assert {line.split()[0] for line in server.heard} <= {b"EHLO", b"QUIT"}, "not even sender and recipient"


async def test_starttls_is_used_where_it_is_offered(certificate: Path) -> None:
    async with smtp_server(smtp={"tls_context": serving(certificate)}) as server:
        assert await send(server.port, "smtp", smtp_ca_file=certificate) == "taken"
    assert server.encrypted == [True]


async def test_tls_from_the_first_byte(certificate: Path) -> None:
    async with smtp_server(tls=serving(certificate)) as server:
        assert await send(server.port, "smtps", smtp_ca_file=certificate) == "taken"
    assert server.encrypted == [True]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_certificate_without_a_known_authority_is_not_trusted(certificate: Path, scheme: str) -> None:
    script = {"tls": serving(certificate)} if scheme == "smtps" else {"smtp": {"tls_context": serving(certificate)}}
    async with smtp_server(**script) as server:
        words = await fail(server.port, scheme, "flex:secret@")
    assert "certificate verify failed: self-signed certificate" in words
    assert server.got == []
    assert not any(line.startswith((b"AUTH", b"MAIL")) for line in server.heard)


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_private_authority_without_key_usage_fails_strict_checks_and_the_words_say_what_to_do(
    tmp_path: Path, scheme: str, expected_errors: list[str]
) -> None:
    """Python sets VERIFY_X509_STRICT from 3.13 on; the test sets it. `openssl req -x509` creates such an authority."""
    expected_errors.append("SMTP session exception")  # aiosmtpd's, when the client leaves in the middle of STARTTLS
    authority, certificate = make_authority(tmp_path)
    script = {"tls": serving(certificate)} if scheme == "smtps" else {"smtp": {"tls_context": serving(certificate)}}
    async with smtp_server(**script) as server:
        words = await fail(server.port, scheme, smtp_ca_file=authority, strict=True)
    assert "CA cert does not include key usage extension" in words
    assert 'see "A private certificate authority" in docs/configuration.md' in words
    authority, certificate = make_authority(tmp_path, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    script = {"tls": serving(certificate)} if scheme == "smtps" else {"smtp": {"tls_context": serving(certificate)}}
    async with smtp_server(**script) as server:
        await send(server.port, scheme, smtp_ca_file=authority, strict=True)


def make_authority(folder: Path, *options: str) -> tuple[Path, Path]:
    """A private authority and a server certificate that it signed, created as docs/configuration.md describes."""
    ca, key, request, certificate = (folder / name for name in ("ca.pem", "ca.key", "server.csr", "server.pem"))
    run = partial(subprocess.run, check=True, capture_output=True, timeout=30, cwd=folder)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]
    run(["openssl", "req", "-x509", *curve, "/CN=Private CA", "-keyout", key, "-out", ca, "-days", "2", *options])
    run(
        [
            "openssl",
            "req",
            *curve,
            "/CN=mail",
            "-keyout",
            "server.key",
            "-out",
            request,
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]
    )
    sign = ["-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2", "-copy_extensions", "copy"]
    run(["openssl", "x509", "-req", "-in", request, "-out", certificate, *sign])
    certificate.write_bytes(certificate.read_bytes() + (folder / "server.key").read_bytes())
    return ca, certificate


@pytest.mark.parametrize("ca_file", ["nothing.pem", "no.pem"])
async def test_an_authorities_file_that_cannot_be_read_defers(tmp_path: Path, ca_file: str) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    async with smtp_server() as server:
        await fail(server.port, "smtp+starttls", smtp_ca_file=tmp_path / ca_file)
    assert server.heard == []


async def test_a_certificate_of_another_host_is_not_trusted(certificate: Path) -> None:
    async with smtp_server(tls=serving(certificate)) as server:
        words = await fail(0, "", smtp_ca_file=certificate, smtp_url=f"smtps://localhost:{server.port}")
    assert "Hostname mismatch" in words
    assert server.got == []


async def test_a_password_opens_the_server_and_a_wrong_one_defers(certificate: Path) -> None:
    script = {
        "tls_context": serving(certificate),
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticator,
    }
    async with smtp_server(smtp=script) as server:
        right = f"flex:{PASSWORD.replace(' ', '%20')}@"
        assert await send(server.port, "smtp+starttls", right, smtp_ca_file=certificate) == "taken"
        words = await fail(server.port, "smtp+starttls", "flex:wrong@", smtp_ca_file=certificate)
        assert words.startswith("535 5.7.8")
        assert "530" in await fail(server.port, "smtp+starttls", smtp_ca_file=certificate), "no password at all"
    assert server.got == [(TO, "<test.0a@flex.example>")]


async def test_a_server_that_knows_no_passwords_defers(certificate: Path) -> None:
    async with smtp_server(tls=serving(certificate)) as server:
        words = await fail(server.port, "smtps", "flex:secret@", smtp_ca_file=certificate)
    assert words == "SMTPException: The SMTP AUTH extension is not supported by this server."


async def test_a_server_that_does_not_greet_is_left_after_the_answers_time_limit() -> None:
    left = asyncio.Event()

    class Silent(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            left.set()

    server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
    async with server:
        began = asyncio.get_running_loop().time()
        words = await fail(server.sockets[0].getsockname()[1], "smtp", smtp_answer_s=0.3)
        assert 0.2 < asyncio.get_running_loop().time() - began < 5
        await asyncio.wait_for(left.wait(), 5)
    assert "imed out" in words


async def test_a_server_that_takes_its_time_with_each_answer_is_left_after_the_mails_time_limit() -> None:
    async with smtp_server(hold=asyncio.Event()) as server:
        began = asyncio.get_running_loop().time()
        words = await fail(server.port, "smtp", smtp_answer_s=30, smtp_send_s=0.5)
        assert 0.4 < asyncio.get_running_loop().time() - began < 5
    assert words == "the mail server took too long"


async def test_a_script_hears_what_is_said() -> None:
    """The tests above need it."""
    async with smtp_server() as server:
        await send(server.port, "smtp")
    assert [line.split()[0] for line in server.heard[:3]] == [b"EHLO", b"MAIL", b"RCPT"]
    assert server.encrypted == [False]
