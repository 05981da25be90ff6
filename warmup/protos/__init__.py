"""Messages of the gRPC protocols, made from `protocols.binpb` (see README.md beside it)."""

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import Message


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    found = descriptor_pb2.FileDescriptorSet.FromString(files(__name__).joinpath("protocols.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for file in found.file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> type[Any]:
    """Return the class of a message by its full name."""
    made: type[Message] = message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))
    return made
