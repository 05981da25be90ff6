"""Where the API server is: a kubeconfig, or the pod's own service account."""

import ssl
from pathlib import Path

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from istio_templates.errors import Stalled
from k8s_manager.kube.client import KubeClient
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

CONNECTIONS = 400  # more than there are watches and calls at once, late ones too: a call that hangs delays no other
LONGEST_LINE = 2**22  # a watch event is one line, and an object may have 1.5 MiB


async def connect(kubeconfig: Path | None, spans: SpanRecorder = NO_SPANS) -> KubeClient:
    """Return a client, whose writes are spans; raises `Stalled` where the configuration cannot be used."""
    settings = Configuration()
    try:
        if kubeconfig is not None:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=settings
            )
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        context = _tls(settings) if settings.host.startswith("https") else True
    except Exception as error:  # the official client raises whatever its parsers raise
        where = kubeconfig or "the pod's service account"
        raise Stalled(f"no usable Kubernetes configuration in {where}: {error}; give --kubeconfig FILE") from error
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context),
        trust_env=False,
        middlewares=(_authorized(settings),),
        read_bufsize=LONGEST_LINE,
    )
    return KubeClient(settings.host, session, spans)


def _tls(settings: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
    return context


def _authorized(settings: Configuration) -> aiohttp.ClientMiddlewareType:
    """Add the bearer token to each request; the official client renews one that expires.

    It comes bare, or with the scheme before it: from a pod's service account as `bearer TOKEN`.
    """

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if token := await settings.get_api_key_with_prefix("BearerToken", alias="authorization"):
            request.headers["Authorization"] = f"Bearer {token.rpartition(' ')[2]}"
        return await handler(request)

    return middleware
