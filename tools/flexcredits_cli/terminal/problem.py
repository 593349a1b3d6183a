"""The one exception whose message is meant for the person at the keyboard."""


class SetupProblem(Exception):
    """Something this machine lacks or refuses. The message says what it is and how to fix it.

    The command line prints it without a traceback and exits with 1.
    """


def reason_of(error: BaseException) -> str:
    """A failure of a server or library in words: its type and text."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
