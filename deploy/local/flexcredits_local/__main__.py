"""`python -m flexcredits_local`, which the launcher hands over to."""

from flexcredits_local.cli import main

main()
