"""`python -m flexcredits_cli`: the launcher replaces itself with this program."""

import signal
import sys


def run() -> None:
    """Run the command line; SIGTERM ends any command."""
    # In a container this is process 1, and the kernel ignores signals to process 1 that have no handler. The handler is set
    # before the imports because they take a second.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    from flexcredits_cli.cli import main

    main()


run()
