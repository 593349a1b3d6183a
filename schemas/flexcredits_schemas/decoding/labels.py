"""Reads the labels of a usage event alone."""

from typing import Annotated

import msgspec

from flexcredits_schemas.events import LabelKey, LabelValue


class _Data(msgspec.Struct):
    labels: Annotated[dict[LabelKey, LabelValue], msgspec.Meta(max_length=5)] | None = None


class _Event(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Event).decode


def labels_in(message: bytes) -> dict[str, str] | None:
    """The labels in the JSON of a usage event. Raises msgspec.ValidationError."""
    return _decode(message).data.labels
