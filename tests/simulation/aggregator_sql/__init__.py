"""The aggregator's statements, as the simulated Postgres runs them: one function for each statement of the service."""

from simulation.aggregator_sql import catalog, held, ledger, names, outbox, progress, quarantine, rollups
from simulation.postgres import functions_of

_MODULES = (progress, catalog, names, ledger, held, rollups, outbox, quarantine)
STATEMENTS = {name: function for module in _MODULES for name, function in functions_of(vars(module)).items()}
NAMES = {name: columns for module in _MODULES for name, columns in module.NAMES.items()}
"""Columns of each statement's rows."""
