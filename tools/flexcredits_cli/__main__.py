"""`python -m flexcredits_cli`, which the launcher hands over to."""

import signal
import sys


def run() -> None:
    """Run the command line; SIGTERM ends any command."""
    # In a container we are process 1, which the kernel protects from signals without a handler: before the imports,
    # which take a second.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    from flexcredits_cli.cli import main

    main()


run()
