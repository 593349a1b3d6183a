"""CSV lines from batches. They are the lines that Postgres' COPY writes, with CRLF."""

from decimal import Decimal
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query_api.exports.formats.batches import COST_PLACES, PLACES, Batch, Constant, Keyed

_LINE_END = pa.scalar("\r\n")


def format_batch(batch: Batch) -> bytes:
    """Adjacent columns of the same key are joined before they are copied to each line."""
    if not batch.length:
        return b""
    formatted: dict[int, Any] = {}  # costs and quantities are in several columns

    def text_of(values: Any) -> Any:
        if id(values) not in formatted:
            formatted[id(values)] = format_values(values)
        return formatted[id(values)]

    parts = []
    for _, group in groupby(_with_neighbours(batch), lambda each: each[0]):
        columns = [column for _, column in group]
        of_group = _join(
            [text_of(column.values if isinstance(column, Keyed | Constant) else column) for column in columns]
        )
        key = next((column.key for column in columns if isinstance(column, Keyed)), None)
        parts.append(of_group if key is None else of_group.take(key))
    lines = pc.binary_join_element_wise(_join(parts), _LINE_END, "")
    return _bytes_of(lines)


def _with_neighbours(batch: Batch) -> list[tuple[int, Any]]:
    """Columns with the number of their group. Constants belong to the group before them, the first ones to the one after."""
    found: list[tuple[int, Any]] = []
    group, current = 0, None
    for column in batch.columns.values():
        if not isinstance(column, Constant):
            key = column.key if isinstance(column, Keyed) else column
            if current is not None and (key is not current or not isinstance(column, Keyed)):
                group += 1
            current = key
        found.append((group, column))
    return found


def _join(texts: list[Any]) -> Any:
    """Texts with commas between them. Arrays of one element are repeated."""
    if len(texts) == 1:
        return texts[0]
    longest = max(map(len, texts))
    return pc.binary_join_element_wise(
        *(text[0] if len(text) == 1 and longest > 1 else text for text in texts), ",", null_handling="replace"
    )


def format_values(values: Any) -> Any:
    """Values as cells. Null is an empty cell, an empty text is quoted."""
    kind = values.type
    if pa.types.is_string(kind):
        return quote(values)
    if pa.types.is_timestamp(kind):
        return pc.strftime(values.cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_decimal(kind):
        return format_decimals(values)
    return values.cast(pa.string())


def quote(texts: Any) -> Any:
    """RFC 4180: texts with commas, quotation marks and line ends in quotation marks."""
    special = pc.match_substring_regex(texts, '[",\r\n]|^$')
    if not pc.any(special, min_count=0).as_py():
        return texts
    return pc.if_else(special, pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', ""), texts)


def format_decimals(values: Any) -> Any:
    """At least six decimal places, up to twelve for costs.

    Not pyarrow's cast: it writes small amounts with an exponent (findings/pyarrow-decimals-as-text.sh).
    """
    low, high = np.frombuffer(values.buffers()[1], "<i8").reshape(-1, 2)[values.offset :][: len(values)].T
    places = values.type.scale
    if not (high == low >> 63).all() or (low == np.iinfo(np.int64).min).any():
        return pa.array([None if each is None else _text(each) for each in values.to_pylist()], pa.string())
    if places == COST_PLACES and not (low % 10 ** (COST_PLACES - PLACES)).any():
        low, places = low // 10 ** (COST_PLACES - PLACES), PLACES
    units, one = np.abs(low), 10**places
    sign = pa.array(["", "-"]).take(pa.array((low < 0).astype(np.int8)))
    whole = pa.array(units // one).cast(pa.string())
    rest = pc.utf8_slice_codeunits(pa.array(units % one + one).cast(pa.string()), 1)
    text = pc.binary_join_element_wise(sign, whole, ".", rest, "")
    if places > PLACES:
        text = pc.replace_substring_regex(text, f"0{{1,{places - PLACES}}}$", "")
    if values.null_count:
        text = pc.if_else(values.is_valid(), text, None)
    return text


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    extra = COST_PLACES - PLACES
    return text if value.as_tuple().exponent == -PLACES else text[:-extra] + text[-extra:].rstrip("0")


def _bytes_of(lines: Any) -> bytes:
    """The texts one after another, as they lie in memory."""
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :][: len(lines) + 1]
    return bytes(memoryview(lines.buffers()[2])[offsets[0] : offsets[-1]])
