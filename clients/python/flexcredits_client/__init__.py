"""Sends usage of AI products to FlexCredits: batched, retried with the same ids, never lost silently."""

from flexcredits_client.async_client import AsyncClient
from flexcredits_client.client import Client
from flexcredits_client.errors import ClientClosed, FlexCreditsError, InvalidUsage, QueueFull, SendingStopped
from flexcredits_client.options import Options, Reason, Rejected, Stats
from flexcredits_client.providers.read import ReadUsage, UnknownUsage, read_chunks, read_usage

__all__ = [
    "AsyncClient",
    "Client",
    "ClientClosed",
    "FlexCreditsError",
    "InvalidUsage",
    "Options",
    "QueueFull",
    "ReadUsage",
    "Reason",
    "Rejected",
    "SendingStopped",
    "Stats",
    "UnknownUsage",
    "read_chunks",
    "read_usage",
]
