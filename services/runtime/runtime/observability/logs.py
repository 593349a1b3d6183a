"""Structured logs on stderr: JSON lines for machines, plain text for a terminal. Logs of stdlib loggers have the same
form."""

import logging
import sys
import time

import structlog

# One list for all calls of configure_logs: a logger that was used keeps the list that it began with.
PROCESSORS: list[structlog.typing.Processor] = []


class RateLimitFilter(logging.Filter):
    """Passes each message of the Kafka, Postgres and tracing clients once in ten seconds.

    While their server is unavailable they repeat messages ten times a second, which would hide other messages.
    """

    def __init__(
        self, clients: tuple[str, ...] = ("aiokafka", "asyncpg", "opentelemetry"), every_s: float = 10.0
    ) -> None:
        super().__init__()
        self._clients = clients
        self._every_s = every_s
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(self._clients):
            return True
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._said.get(key, -self._every_s) < self._every_s:
            return False
        self._said[key] = now
        return True


def omit_what_the_terminal_shows(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Remove the name and environment of the service, which are the same in every line of its terminal or container."""
    line.pop("service", None)
    line.pop("environment", None)
    return line


def configure_logs(service: str, log_format: str = "json") -> None:
    """Send logs of structlog and stdlib to stderr; `log_format` is json or console."""
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S" if log_format == "console" else "iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Plain tracebacks: the richer ones print local variables, which may be secrets.
    final: list[structlog.typing.Processor] = (
        [
            omit_what_the_terminal_shows,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
        if log_format == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    PROCESSORS[:] = [*steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RateLimitFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
