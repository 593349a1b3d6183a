"""Runs several processes of one service as one: they share a port, start together and end together."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import structlog

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1


def run_processes(number: int, run: Callable[[int], None]) -> None:
    """Fork `number` processes, of which each calls `run` with its index, and wait for them. Call it before any thread starts.

    SIGTERM and SIGINT are passed on. If a process ends by itself, the others are stopped, and the exit code is 1: the
    orchestrator then starts all of them again.
    """
    children: set[int] = set()
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # until the handlers know all children
    parent = os.getpid()
    for index in range(number):
        child = os.fork()
        if child == 0:
            _end_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
            run(index)
            sys.exit(0)
        children.add(child)
    for each in stops:
        signal.signal(each, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    failed = False
    while children:
        child, status = os.wait()
        children.discard(child)
        code = os.waitstatus_to_exitcode(status)
        if code or not stopping:
            failed = True
            log.error("a process ended", pid=child, exit_code=code)
            stop(signal.SIGTERM, None)
    if failed:
        sys.exit(1)


def _end_with(parent: int) -> None:
    """Let the kernel end this process when its parent dies, even by SIGKILL. Only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
