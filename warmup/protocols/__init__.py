"""The protocols, one module each: which of them a plan's target speaks."""

from istio_templates.documents.warmup import Target
from warmup.plans.tensors import Files
from warmup.protocols.base import Dialect, Server, Unencodable
from warmup.protocols.oip_grpc import OipGrpc
from warmup.protocols.oip_rest import OipRest
from warmup.protocols.openai import OpenAi
from warmup.protocols.plain_grpc import PlainGrpc, files_in_set
from warmup.protocols.plain_http import PlainHttp
from warmup.protocols.tfs_grpc import TfsGrpc
from warmup.protocols.tfs_rest import TfsRest

_PROTOCOLS: dict[str, type[Dialect]] = {
    "oip-rest": OipRest,
    "oip-grpc": OipGrpc,
    "tfs-rest": TfsRest,
    "tfs-grpc": TfsGrpc,
    "openai": OpenAi,
    "http": PlainHttp,
}


def dialect_of(target: Target, files: Files) -> Dialect:
    """Return the protocol that a target speaks; raises `Unencodable` where its descriptors are none."""
    if target.protocol == "grpc":
        return PlainGrpc(files_in_set(files[target.descriptors])) if target.descriptors else PlainGrpc()
    return _PROTOCOLS[target.protocol]()


__all__ = ["Dialect", "Server", "Unencodable", "dialect_of"]
