"""A mail server on the loopback interface that delivers nothing: it writes every message into an .eml file.

`python -m flexcredits_cli.embedded.mailbox --port PORT --folder FOLDER`
"""

import argparse
import asyncio
import signal
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from flexcredits_cli.machine.ports import LOOPBACK

REFUSED = "@refused.example"
"""Addresses with this suffix are refused permanently, to try how such a mail is shown."""


class Folder:
    """Writes messages into a folder; file names sort by the time of arrival."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if address.lower().endswith(REFUSED):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        # The message does not contain its envelope, and envelope recipients can differ from those in the headers.
        trace = [f"X-Envelope-From: {envelope.mail_from or '<>'}"]
        trace += [f"X-Envelope-To: {recipient}" for recipient in envelope.rcpt_tos]
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}"
        unfinished = self._path / f".{name}.new"
        unfinished.write_bytes("\r\n".join([*trace, ""]).encode() + content)
        # Programs that watch the folder must see complete messages only.
        unfinished.rename(self._path / f"{name}.eml")
        return f"250 written to {name}.eml"


async def serve(port: int, folder: Path) -> None:
    """Accept mail until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    handler = Folder(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", ident="FlexCredits mailbox", enable_SMTPUTF8=True), LOOPBACK, port
    )
    async with server:
        print(f"mail for {LOOPBACK}:{port} goes to {folder}", flush=True)
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write mail that arrives on a loopback port into a folder.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(chosen.port, chosen.folder))


if __name__ == "__main__":
    main()
