"""Parquet files from batches, piece by piece. Amounts are decimals, instants are UTC, texts are as in the database."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from query_api.exports.domain.kinds import Columns
from query_api.exports.formats.batches import TYPES, Batch, Constant, Keyed, Lines, batch_of_lines, key_of

ROWS_AT_ONCE = 32_768
"""Rows of a row group: small parts are collected."""


class ParquetFile:
    """Without `end()` the data has no footer, and no program reads it."""

    def __init__(self, columns: Columns, metadata: Mapping[str, str]) -> None:
        self._columns = columns
        self._written = io.BytesIO()
        self._waiting: list[Any] = []
        names = [name for name, kind in columns.items() if pa.types.is_string(TYPES[kind])]
        self._types = {name: pa.dictionary(pa.int32(), TYPES[columns[name]]) for name in names}
        self._schema = pa.schema([(name, self._types.get(name, TYPES[kind])) for name, kind in columns.items()])
        # Without the Arrow schema, readers see strings: pandas would make categories of our dictionaries.
        self._writer = pa.parquet.ParquetWriter(self._written, self._schema, use_dictionary=names, store_schema=False)
        self._writer.add_key_value_metadata(metadata)

    def take(self) -> bytes:
        """The bytes since the last call."""
        data = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return data

    def add(self, part: Batch | Lines) -> None:
        self._waiting.append(self._table(part))
        if sum(map(len, self._waiting)) >= ROWS_AT_ONCE:
            self._write()

    def end(self) -> None:
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting)
            self._waiting.clear()
            if table.num_rows:
                self._writer.write_table(table.unify_dictionaries().combine_chunks(), row_group_size=table.num_rows)

    def _table(self, part: Batch | Lines) -> Any:
        batch = part if isinstance(part, Batch) else batch_of_lines(part, self._columns)
        arrays = [self._array(name, batch) for name in self._columns]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _array(self, name: str, batch: Batch) -> Any:
        column = batch.columns[name]
        if isinstance(column, Constant):
            column = Keyed(key_of(np.zeros(batch.length, np.int32)), column.values)
        if not isinstance(column, Keyed):
            return column.dictionary_encode() if name in self._types else column
        if name not in self._types:
            return column.values.take(column.key)
        # Values may repeat and be null; those of a dictionary must not.
        encoded = column.values.dictionary_encode()
        return pa.DictionaryArray.from_arrays(encoded.indices.take(column.key), encoded.dictionary)
