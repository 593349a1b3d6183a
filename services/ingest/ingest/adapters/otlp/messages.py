"""protobuf's classes for signals, with their attributes as bytes or by name. Pure."""

from types import ModuleType
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2


def describe(module: ModuleType, undecoded: str = "") -> FileDescriptorProto:
    """The description of a file. `attributes` of the message `undecoded` are `repeated bytes`, which has the same wire
    format as a repeated message."""
    described = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(described)
    for message in described.message_type:
        if message.name == undecoded:
            [field] = (field for field in message.field if field.name == "attributes")
            field.type = field.TYPE_BYTES
            field.ClearField("type_name")
    return described


def describe_map() -> FileDescriptorProto:
    """The description of spans whose `attributes` are a map, which has the same wire format too. The last value of a
    name counts."""
    described = describe(trace_pb2)
    [span] = (message for message in described.message_type if message.name == "Span")
    entry = span.nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=Field.LABEL_OPTIONAL, type=Field.TYPE_MESSAGE, type_name=f".{ANY_VALUE}"
    )
    [field] = (field for field in span.field if field.name == "attributes")
    field.type_name = f".{SPAN}.AttributesEntry"
    return described


def make_pool(*files: FileDescriptorProto) -> DescriptorPool:
    pool = DescriptorPool()
    for file in (describe(common_pb2), describe(resource_pb2), *files):
        pool.Add(file)
    return pool


SPAN, LOG_RECORD = "opentelemetry.proto.trace.v1.Span", "opentelemetry.proto.logs.v1.LogRecord"
ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"
_pool = make_pool(describe(trace_pb2, "Span"), describe(logs_pb2, "LogRecord"))
MESSAGES: dict[str, Any] = {
    "traces": GetMessageClass(_pool.FindMessageTypeByName(SPAN)),
    "logs": GetMessageClass(_pool.FindMessageTypeByName(LOG_RECORD)),
    "metrics": Metric,
}
"""By kind of request. A metric has its attributes in its points, which are decoded."""

MappedSpan: Any = GetMessageClass(make_pool(describe_map()).FindMessageTypeByName(SPAN))
"""A span with its attributes by name."""
