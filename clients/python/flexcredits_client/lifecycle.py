"""Clients at the end of a process, and in a forked child."""

import atexit
import multiprocessing.util
import os
from typing import Protocol


class Living(Protocol):
    """A client, as this module sees it."""

    def begin_close(self) -> None:
        """Take no more events, and send in the background what can be sent there."""

    def close_at_exit(self) -> None: ...

    def start_in_child(self) -> None: ...


_living: set[Living] = set()
"""Clients that are not closed. A program may have forgotten a client whose events still wait."""


def register(client: Living) -> None:
    """Close the client at exit, and give it an empty queue in each forked child."""
    _living.add(client)


def unregister(client: Living) -> None:
    """The client is closed: it may go."""
    _living.discard(client)


def close_all() -> None:
    """All clients have the same time: a process with several of them does not end later."""
    clients = list(_living)
    for client in clients:
        client.begin_close()
    for client in clients:
        client.close_at_exit()


def start_all_in_child() -> None:
    for client in list(_living):
        client.start_in_child()


def close_at_end_of_child(_: object) -> None:
    multiprocessing.util.Finalize(None, close_all, exitpriority=0)


class _ChildProcesses:
    """multiprocessing keeps only a weak reference to what it calls in a child."""


_children = _ChildProcesses()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=start_all_in_child)
atexit.register(close_all)
# A child of multiprocessing ends by os._exit, which skips atexit.
multiprocessing.util.register_after_fork(_children, close_at_end_of_child)
