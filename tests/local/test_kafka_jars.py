"""Jars come from a repository of this test; what arrives is checked before it is used."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from flexcredits_local.kafka_jars import Jar, download, pinned_jars
from flexcredits_local.problem import SetupProblem
from jgo.maven import MavenContext

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


def test_jar_with_another_checksum_is_named_and_refused(repository: MavenContext) -> None:
    with pytest.raises(SetupProblem, match=r"org\.example:thing:1\.0 is not the file it should be"):
        download(repository, Jar("org.example", "thing", "1.0", "0" * 64))


def test_jar_that_cannot_be_had_is_named_with_what_to_do(repository: MavenContext) -> None:
    with pytest.raises(SetupProblem, match=r"(?s)could not download org\.example:gone:1\.0.*HTTPS_PROXY"):
        download(repository, Jar("org.example", "gone", "1.0", "0" * 64))


def test_list_pins_every_jar_once() -> None:
    jars = pinned_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert "org.apache.kafka:kafka_2.13:4.3.1" in {jar.coordinate for jar in jars}
