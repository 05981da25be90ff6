"""Our definitions of the gRPC protocols against what their publishers' packages hold."""

import importlib

import pytest
from google.protobuf import descriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from warmup.protos import message

PUBLISHED = [
    ("grpc.health.v1.HealthCheckRequest", health_pb2.HealthCheckRequest),
    ("grpc.health.v1.HealthCheckResponse", health_pb2.HealthCheckResponse),
    ("grpc.reflection.v1.ServerReflectionRequest", reflection_pb2.ServerReflectionRequest),
    ("grpc.reflection.v1.ServerReflectionResponse", reflection_pb2.ServerReflectionResponse),
]


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_every_field_of_ours_is_the_published_one(name, published):
    ours: descriptor.Descriptor = message(name).DESCRIPTOR
    for field in ours.fields:
        theirs = published.DESCRIPTOR.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (theirs.number, theirs.type, theirs.is_repeated)


def test_the_package_of_the_definitions_can_be_read_anew():
    assert importlib.import_module("warmup.protos").message("inference.ModelInferRequest").DESCRIPTOR.fields
