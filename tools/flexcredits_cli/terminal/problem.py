"""The exception whose message is printed to the user."""


class SetupProblem(Exception):
    """A problem that the user has to fix. The message names the problem and the fix.

    The command line prints it without a traceback and exits with 1.
    """


def reason_of(error: BaseException) -> str:
    """An exception as text: its type and message."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
