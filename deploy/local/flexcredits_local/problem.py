"""The one exception whose message is meant for the person at the keyboard."""


class SetupProblem(Exception):
    """Something this machine lacks or refuses. The message says what it is and how to mend it.

    The command line prints it without a traceback and exits with 1.
    """
