"""Bodies of requests that real clients sent, byte for byte; recorded/README.md says which clients.

What is not about usage is shortened (prices, tracebacks).
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"


def recorded(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def recorded_lines(name: str) -> list[bytes]:
    """The bodies of several requests, one a line."""
    return recorded(name).splitlines()


def sent_at(body: bytes, seconds: float) -> Any:
    """The recorded body as if it had been sent at another time, because ingest takes 400 days."""
    found = json.loads(body)
    for event in found if isinstance(found, list) else found.get("events") or [found.get("event") or found]:
        if "endTime" in event:
            event["endTime"] = seconds
        if event.get("timestamp"):
            event["timestamp"] = type(event["timestamp"])(seconds)
    return found
