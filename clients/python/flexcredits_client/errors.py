"""What the client raises."""


class FlexCreditsError(Exception):
    """Every exception of this package."""


class InvalidUsage(FlexCreditsError, ValueError):
    """`record` got a value that no service would accept. Nothing was queued."""


class QueueFull(FlexCreditsError):
    """The queue has no room (`overflow`). The event was not queued."""


class ClientClosed(FlexCreditsError):
    """`record` was called after `close`. The event was not queued."""


class SendingStopped(FlexCreditsError):
    """Nothing is sent any more: the service refused the API key (`status` 401 or 403), or the client failed (`status` 0)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
