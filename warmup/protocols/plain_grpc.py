"""Plain gRPC: a unary method of any service, its messages known from an uploaded FileDescriptorSet or the server's own
reflection, its readiness from `grpc.health.v1` where it has that."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import grpc_bodies, json_answers
from warmup.protocols.base import Server, Unencodable
from warmup.protos import message
from warmup.wire import Answer, Request, Transport

_REFLECTION = ("v1", "v1alpha")


class PlainGrpc:
    """A gRPC service whose messages are in `files`, serialised FileDescriptorProtos."""

    transport: Transport = "grpc"

    def __init__(self, files: Iterable[bytes] = ()) -> None:
        self._files = tuple(files)
        self._found: tuple[type[Any], type[Any]] | None = None

    def ready(self, server: Server) -> Request:
        """Ask for the health of the whole server."""
        return Request(
            "/grpc.health.v1.Health/Check", message("grpc.health.v1.HealthCheckRequest")().SerializeToString()
        )

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether it is SERVING. A server that does not know the question answers it all the same: it is there."""
        if answer.fault is not None:
            return answer.fault.kind == "plan"
        try:
            found = message("grpc.health.v1.HealthCheckResponse").FromString(answer.body)
        except DecodeError:
            return False
        return bool(found.status == 1)

    def describe(self, server: Server) -> tuple[Request, ...]:
        """Ask reflection for the file with the service, unless descriptors were uploaded. Many servers know it by its
        older name only, with the same messages."""
        if self._files:
            return ()
        service = (server.target.method or "").partition("/")[0]
        asked = message("grpc.reflection.v1.ServerReflectionRequest")(file_containing_symbol=service)
        body = asked.SerializeToString()
        return tuple(Request(f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo", body) for v in _REFLECTION)

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """Reflection describes messages, no tensors: see `files_in`."""
        return {}

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """There are no tensors."""
        raise Unencodable("protocol grpc takes a body, no inputs")

    def replay(self, server: Server, body: bytes) -> Request:
        """Return a call from the JSON form of its request."""
        asked, _ = self._messages(server)
        return Request(f"/{server.target.method}", grpc_bodies.from_json(asked, body).SerializeToString())

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look into the answer as JSON."""
        _, kind = self._messages(server)
        try:
            found = kind.FromString(body)
        except DecodeError as error:
            return f"the answer is no {kind.DESCRIPTOR.full_name} ({error})"
        said = json_format.MessageToDict(found, preserving_proto_field_name=True)
        values = {name: _number(value) for name, value in said.items()}
        return json_answers.objection(check, json_format.MessageToJson(found, indent=None).encode(), values)

    def _messages(self, server: Server) -> tuple[type[Any], type[Any]]:
        """Return the classes of request and answer, looked for once: every answer is read with them."""
        if self._found is None:
            self._found = self._look(server)
        return self._found

    def _look(self, server: Server) -> tuple[type[Any], type[Any]]:
        name, _, method = (server.target.method or "").partition("/")
        pool = descriptor_pool.DescriptorPool()
        try:
            for file in _in_order(self._files):
                pool.Add(file)
            found = pool.FindServiceByName(name).methods_by_name[method]
        except (KeyError, TypeError, DecodeError) as error:
            raise Unencodable(f"the descriptors hold no method {name}/{method} ({error})") from error
        if found.client_streaming or found.server_streaming:
            raise Unencodable(f"{name}/{method} is a stream; only unary methods can be called")
        return message_factory.GetMessageClass(found.input_type), message_factory.GetMessageClass(found.output_type)


def files_in_set(raw: bytes) -> tuple[bytes, ...]:
    """Return the files of a FileDescriptorSet; raises `Wrong` where it is none."""
    try:
        return tuple(file.SerializeToString() for file in descriptor_pb2.FileDescriptorSet.FromString(raw).file)
    except DecodeError as error:
        raise Unencodable(
            f"the descriptors are no FileDescriptorSet ({error}); make one with protoc --descriptor_set_out "
            "--include_imports"
        ) from error


def files_in_answer(raw: bytes) -> tuple[bytes, ...]:
    """Return the files in an answer of reflection; raises `Wrong` with what it said instead."""
    try:
        found = message("grpc.reflection.v1.ServerReflectionResponse").FromString(raw)
    except DecodeError as error:
        raise Unencodable(f"the server's reflection cannot be read ({error}); upload descriptors") from error
    if found.HasField("error_response"):
        raise Unencodable(f"the server's reflection says: {found.error_response.error_message}; correct method")
    return tuple(found.file_descriptor_response.file_descriptor_proto)


def _in_order(files: Iterable[bytes]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Return files with those first that others import."""
    left = {file.name: file for file in map(descriptor_pb2.FileDescriptorProto.FromString, files)}
    out: list[descriptor_pb2.FileDescriptorProto] = []

    def take(name: str) -> None:
        if file := left.pop(name, None):
            for needed in file.dependency:
                take(needed)
            out.append(file)

    for name in sorted(left):
        take(name)
    return out


def _number(value: Any) -> Any:
    """Return a value with the numbers that JSON has no form for as numbers again."""
    if isinstance(value, dict):
        return {name: _number(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_number(inner) for inner in value]
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value
