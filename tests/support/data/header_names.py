"""Records whose header names are not UTF-8, as clients that take names as bytes produce them."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

ODD_NAME = b"\xff\x00na\xefme"
READ_NAME = "\\xff\x00na\\xefme"
"""What our consumers read for ODD_NAME."""
ZSTD = 4


class AsBytes(str):
    """A header name that the client writes as ODD_NAME."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return ODD_NAME


async def send_with_odd_header(
    bootstrap: str, topic: str, values: Sequence[bytes], *, partition: int = 0, compression: int = 0
) -> None:
    """Send one batch: each record has a header with the name ODD_NAME."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, 0, 1024 * 1024)
        for value in values:
            batch.append(key=b"k", value=value, timestamp=None, headers=[("a", b"1"), (AsBytes(), b"2")])
        await (await producer.send_batch(batch, topic, partition=partition))
