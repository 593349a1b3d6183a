"""One Apache Kafka broker in KRaft mode: its settings, data folder and program. It listens on loopback by default."""

import base64
import os
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flexcredits_cli.embedded.java import Java
from flexcredits_cli.machine.ports import LOOPBACK, accepts
from flexcredits_cli.machine.state_folder import remove_tree
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.terminal.problem import SetupProblem

# With one broker, Kafka's internal topics have one replica; one partition each makes the start fast.
# Few threads, because the broker shares two cores with all other processes. The log cleaner's buffer would be 128 MB by
# default, a quarter of the heap. A short session timeout: after SIGKILL the restarted broker waits until the killed
# broker's session ends.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
controller.quorum.bootstrap.servers={host}:{controller_port}
log.dirs={data}
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=false
message.max.bytes=2097152
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=8388608
log.segment.delete.delay.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
"""

LOGGING = """\
Configuration:
  status: "off"
  Appenders:
    Console:
      name: console
      target: SYSTEM_ERR
      PatternLayout: {{pattern: "%p %m (%c)%n%throwable{{5}}"}}
    RollingFile:
      name: file
      fileName: "{log_file}"
      filePattern: "{log_file}.%i"
      PatternLayout: {{pattern: "%d %p %m (%c)%n"}}
      SizeBasedTriggeringPolicy: {{size: 10MB}}
      DefaultRolloverStrategy: {{max: 3}}
  Loggers:
    Root:
      level: INFO
      AppenderRef: [{{ref: file}}, {{ref: console, level: ERROR}}]
"""


@dataclass(frozen=True)
class EmbeddedKafka:
    """A broker with a persistent data folder. Its ports may change from run to run."""

    folder: Path
    class_path: Sequence[Path]
    java: Java
    port: int
    controller_port: int
    heap_mb: int = 512
    quick_start: bool = False
    """Limit JIT compilation: the start is half a second faster, throughput is lower. For tests."""
    host: str = LOOPBACK
    more_settings: str = ""
    """Lines after SETTINGS; they override it. For tests."""
    format_options: Sequence[str] = ()
    """Options of the storage tool's `format`, such as SCRAM users. For tests."""

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "kafka.log"

    def prepare(self) -> None:
        """Write the settings, and format the data folder if it is missing. Safe to interrupt and repeat."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.yaml").write_text(LOGGING.format(log_file=self.log_file))
        self._write_settings("server.properties", self.folder / "data")
        if not (self.folder / "data").exists():
            self._format()

    def program(self) -> Program:
        return Program(
            name="kafka",
            argv=[*self._java(), "kafka.Kafka", str(self.folder / "server.properties")],
            is_ready=lambda: accepts(self.port, self.host),  # the broker opens its listener only when it can serve
            stop_within_s=30,
            log_file=self.log_file,
        )

    def _java(self) -> list[str]:
        flags = [f"-Xmx{self.heap_mb}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData"]
        if self.quick_start:
            flags.append("-XX:TieredStopAtLevel=1")
        if self.java.version >= 22:
            flags.append("--enable-native-access=ALL-UNNAMED")  # without it, loading zstd logs a warning at every start
        flags.append(f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}")
        return [str(self.java.path), *flags, "-cp", os.pathsep.join(str(jar) for jar in self.class_path)]

    def _write_settings(self, name: str, data: Path) -> None:
        settings = SETTINGS.format(host=self.host, port=self.port, controller_port=self.controller_port, data=data)
        (self.folder / name).write_text(settings + self.more_settings)

    def _format(self) -> None:
        # Format another folder, then rename it: the next start repeats an interrupted format.
        unfinished = self.folder / "data.new"
        remove_tree(unfinished)
        self._write_settings("format.properties", unfinished)
        # The tool reads an id with a leading hyphen as an option: one format in 64 failed.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        arguments = ["format", "--standalone", "-t", cluster_id, "-c", str(self.folder / "format.properties")]
        arguments += self.format_options
        done = subprocess.run(
            [*self._java(), "kafka.tools.StorageTool", *arguments], capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise SetupProblem(f"Kafka could not format {unfinished}:\n{done.stdout}{done.stderr}")
        unfinished.rename(self.folder / "data")
