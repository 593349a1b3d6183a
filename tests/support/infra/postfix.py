"""A real Postfix from the machine's package, with its own queue, ports and configuration."""

import asyncio
import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.infra.service_process import free_port

DAEMONS = Path("/usr/lib/postfix/sbin")
MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.acme.example
mydestination = acme.example
local_recipient_maps = inline:{{ada=x, ben=x}}
alias_maps =
alias_database =
local_transport = discard:
default_transport = discard:
relay_transport = discard:
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
"""
MASTER = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    folder: Path
    ports: Mapping[str, int]
    """Port of each listener by name."""


@contextmanager
def postfix(certificate: Path, listeners: Mapping[str, Mapping[str, str]]) -> Iterator[Postfix]:
    """One Postfix with a listener for each name, each with its own settings. Skips the test if Postfix cannot run."""
    if not (shutil.which("postfix") and DAEMONS.is_dir()):
        pytest.skip("Postfix is not installed")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="postfix-", dir="/tmp"))  # Postfix' user can enter it
    folder.chmod(0o755)
    for name in ("conf", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.copy(certificate, folder / "server.pem")
    server = Postfix(folder, {name: free_port() for name in listeners})
    lines = []
    for name, settings in listeners.items():
        options = "".join(f" -o {{{key} = {value}}}" for key, value in settings.items())
        lines.append(f"127.0.0.1:{server.ports[name]} inet n - n - - smtpd{options}\n")
    (folder / "conf" / "main.cf").write_text(MAIN.format(folder=folder))
    (folder / "conf" / "master.cf").write_text("".join(lines) + MASTER)
    command = ["postfix", "-c", str(folder / "conf")]
    try:
        started = subprocess.run([*command, "start"], check=False, capture_output=True, text=True, timeout=30)
        if started.returncode:
            log = folder / "log"
            pytest.skip(f"Postfix did not start: {started.stderr} {log.read_text() if log.exists() else ''}")
        yield server
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def logins(path: Path, username: str, password: str) -> AsyncIterator[None]:
    """Speaks Dovecot's protocol of authentication, which Postfix uses to check logins."""
    open_ones: set[asyncio.Transport] = set()

    class Dovecot(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            open_ones.add(transport)
            cookie = "00112233445566778899aabbccddeeff"
            hello = f"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t{cookie}\nDONE\n"
            transport.write(hello.encode())

        def data_received(self, data: bytes) -> None:
            for number, given in re.findall(r"AUTH\t(\d+)\tPLAIN\t.*resp=(\S+)", data.decode()):
                right = base64.b64decode(given).split(b"\0")[1:] == [username.encode(), password.encode()]
                self.transport.write(f"{'OK' if right else 'FAIL'}\t{number}\tuser={username}\n".encode())

    server = await asyncio.get_running_loop().create_unix_server(Dovecot, path)
    path.chmod(0o666)
    async with server:
        yield
        for transport in open_ones:
            transport.abort()
