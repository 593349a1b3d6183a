"""`usage` of both clients: one event for what a block reads of model providers' answers."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Unpack

from flexcredits_client.errors import FlexCreditsError
from flexcredits_client.event import Details, check_details
from flexcredits_client.providers.call import Call, Fields
from flexcredits_client.providers.rules import UNITS


class Calls(ABC):
    """For `Client`."""

    @abstractmethod
    def _record_call(self, call: Call, details: Details) -> str:
        """Record what the call has read; why usage is missing, if some is. Raises as `record` does."""

    @abstractmethod
    def _report_missing(self, fields: Fields, detail: str) -> None: ...

    @contextmanager
    def usage(
        self,
        organization: str,
        product: str,
        feature: str | None = None,
        *,
        feature_kind: str = "model",
        provider: str | None = None,
        units: Collection[str] = UNITS,
        **details: Unpack[Details],
    ) -> Iterator[Call]:
        """Record the usage of the provider's answers that the block gives to `read` or `stream`, as one event.

        `feature` is the model that the answer names by default, `provider` a key of `providers.rules.RULES` (the form of
        the usage decides by default). Answers without a usage are counted and reported (`no_usage`). Raises as `record`
        does. If the block fails, what was read until then is recorded, and only the block's own exception is raised.
        """
        check_details(details)
        call = Call(Fields(organization, product, feature_kind, feature, provider, units))
        try:
            yield call
        except BaseException:
            try:
                self._record_call(call, details)
            except (FlexCreditsError, OSError) as error:
                self._report_missing(call.fields, str(error))
            raise
        if missing := self._record_call(call, details):
            self._report_missing(call.fields, missing)


class AsyncCalls(ABC):
    """For `AsyncClient`."""

    @abstractmethod
    async def _record_call(self, call: Call, details: Details) -> str:
        """As `Calls._record_call`."""

    @abstractmethod
    def _report_missing(self, fields: Fields, detail: str) -> None: ...

    @asynccontextmanager
    async def usage(
        self,
        organization: str,
        product: str,
        feature: str | None = None,
        *,
        feature_kind: str = "model",
        provider: str | None = None,
        units: Collection[str] = UNITS,
        **details: Unpack[Details],
    ) -> AsyncIterator[Call]:
        """As `Client.usage`, for `read` and `astream`."""
        check_details(details)
        call = Call(Fields(organization, product, feature_kind, feature, provider, units))
        try:
            yield call
        except BaseException:
            try:
                await self._record_call(call, details)
            except (FlexCreditsError, OSError) as error:
                self._report_missing(call.fields, str(error))
            raise
        if missing := await self._record_call(call, details):
            self._report_missing(call.fields, missing)
