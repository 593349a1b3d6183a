"""Jars from a local test repository are checked before use."""

import functools
import hashlib
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from flexcredits_cli.embedded.kafka_jars import Jar, download, maven_context, pinned_jars
from flexcredits_cli.machine.trust import FOR_REQUESTS, SYSTEM, trust_in_node, trust_in_requests
from flexcredits_cli.terminal.problem import SetupProblem
from jgo.maven import MavenContext
from support.infra.certificates import make_certificate, serving

CONTENT = b"the jar"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[MavenContext]:
    folder = tmp_path / "repository" / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path / "repository"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield MavenContext(repo_cache=tmp_path / "cache", remote_repos={"test": address})
        server.shutdown()
        thread.join()


def test_jar_with_the_right_checksum_is_taken(repository: MavenContext) -> None:
    assert download(repository, JAR).read_bytes() == CONTENT


@pytest.fixture
def untrusting(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Unsets the variables that choose trusted certificates; changes are undone after the test."""
    for name in (*FOR_REQUESTS, "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.slow
def test_ssl_cert_file_serves_the_download(tmp_path: Path, untrusting: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path / "ca.pem", x509.IPAddress(ip_address("127.0.0.1")))
    jar = tmp_path / "repository" / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path / "repository"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = serving(certificate).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        untrusting.setenv("FLEXCREDITS_MAVEN_REPOSITORY", f"https://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(SetupProblem, match="CERTIFICATE_VERIFY_FAILED"):
            download(maven_context(tmp_path / "untrusted"), JAR)
        untrusting.delenv("REQUESTS_CA_BUNDLE", raising=False)
        untrusting.setenv("SSL_CERT_FILE", str(certificate))
        assert download(maven_context(tmp_path / "trusted"), JAR).read_bytes() == CONTENT
        assert trust_in_node() == {"NODE_EXTRA_CA_CERTS": str(certificate)}
        server.shutdown()
        thread.join()


def test_the_systems_certificates_are_trusted_without_any_variable(untrusting: pytest.MonkeyPatch) -> None:
    known = [path for path in (ssl.get_default_verify_paths().openssl_cafile, *SYSTEM) if Path(path).is_file()]
    trust_in_requests()
    assert os.environ.get("REQUESTS_CA_BUNDLE") == (known[0] if known else None)


def test_jar_with_another_checksum_is_named_and_refused(repository: MavenContext) -> None:
    with pytest.raises(SetupProblem, match=r"org\.example:thing:1\.0 has a wrong checksum"):
        download(repository, Jar("org.example", "thing", "1.0", "0" * 64))


@pytest.mark.slow
def test_jar_that_cannot_be_had_is_named_with_what_to_do(repository: MavenContext) -> None:
    with pytest.raises(SetupProblem, match=r"(?s)could not download org\.example:gone:1\.0.*HTTPS_PROXY"):
        download(repository, Jar("org.example", "gone", "1.0", "0" * 64))


def test_list_pins_every_jar_once() -> None:
    jars = pinned_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert "org.apache.kafka:kafka_2.13:4.3.1" in {jar.coordinate for jar in jars}
