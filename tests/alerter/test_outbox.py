"""The outbox without a database: sent messages are recorded and not sent again."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import asyncpg
import pytest
from alerter.domain.attempts import Attempt, truncate
from alerter.queues.outbox import Outbox
from support.services.mailer import attempt


class Message(NamedTuple):
    number: int
    organization_id: int = 1


class Messages(Outbox[Message]):
    """Returns the items that the test makes due, and records sends and results."""

    def __init__(self, write: Callable[[], Any]) -> None:
        no_pool: Any = None
        super().__init__(no_pool, "mail", 8)
        self.due: list[list[Message]] = []
        self.sent: list[int] = []
        self.written: list[tuple[int, Attempt]] = []
        self._write = write

    async def claim(self, limit: int, running: Sequence[int], after: int) -> Sequence[Message]:
        return self.due.pop(0) if self.due else []

    def number(self, item: Message) -> int:
        return item.number

    def waited_s(self, item: Message) -> float:
        return 0.0

    async def send(self, item: Message) -> Attempt:
        self.sent.append(item.number)
        return Attempt("sent", "taken")

    def report(self, item: Message, attempt: Attempt) -> None:
        """No metrics."""

    async def record_result(self, item: Message, attempt: Attempt) -> None:
        await self._write()
        self.written.append((item.number, attempt))


async def test_what_postgres_failed_to_write_down_is_written_later_and_not_sent_again() -> None:
    failures = [asyncpg.DiskFullError("no space left on device")]

    async def write() -> None:
        if failures:
            raise failures.pop()

    messages = Messages(write)
    messages.due = [[Message(1)]]
    with pytest.raises(asyncpg.DiskFullError):
        await messages.send_due()
    messages.due = [[Message(1)]]
    await messages.send_due()
    assert (messages.sent, messages.written) == ([1], [(1, Attempt("sent", "taken"))])


async def test_a_claim_that_ran_out_while_its_attempt_is_written_down_is_not_sent_again() -> None:
    postgres_is_back = asyncio.Event()
    messages = Messages(postgres_is_back.wait)
    messages.due = [[Message(1)], [Message(1), Message(2)]]
    await messages.tick()
    await messages.tick()
    assert messages.sent == [1, 2]
    postgres_is_back.set()
    await messages.send_due()
    assert sorted(number for number, _ in messages.written) == [1, 2]


@pytest.mark.parametrize("code", [b"250", b"550 5.1.1"])
def test_words_that_are_not_utf8_can_be_written_down(code: bytes) -> None:
    """aiosmtplib and aiohttp decode with surrogateescape."""
    answer = (code + b" Nachricht f\xfcr\0 \xe2\x82\xac").decode(errors="surrogateescape")
    assert truncate(answer) == f"{code.decode()} Nachricht f?r €"


@pytest.mark.parametrize(
    ("answer", "outcome"), [(b"250 2.0.0 Nachricht f\xfcr Sie", "sent"), (b"550 5.1.1 f\xfcr uns unbekannt", "refused")]
)
async def test_a_mail_server_that_answers_in_latin1_is_understood(answer: bytes, outcome: str) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(answer + b"\r\n")
            else:
                writer.write(b"250 OK\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        made = await attempt(server.sockets[0].getsockname()[1], "smtp")
        await asyncio.wait_for(ended.wait(), 5)
    assert (made.outcome, made.detail) == (outcome, answer.removeprefix(b"250 ").replace(b"\xfc", b"?").decode())
