"""The messages of the gRPC protocols, compiled from `warmup/protos/*.proto`."""

import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

FOLDER = Path("warmup/protos")


def descriptor_set() -> bytes:
    """Return the FileDescriptorSet of all our `.proto` files."""
    common = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "set")
        names = sorted(path.name for path in FOLDER.glob("*.proto"))
        words = ["protoc", f"-I{FOLDER}", f"-I{common}", f"--descriptor_set_out={out}", *names]
        if protoc.main(words):
            raise SystemExit("the .proto files cannot be compiled")
        return out.read_bytes()
