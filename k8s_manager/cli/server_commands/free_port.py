"""Check that an address can be listened on, before anything else is started."""

import socket

from istio_templates.errors import Stalled
from istio_templates.host_port import joined


def require_free(host: str, port: int) -> None:
    """Raise `Stalled` where an address cannot be listened on, such as while another program does."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        said = f"{joined(host, port)} cannot be listened on ({error.strerror})"
        raise Stalled(f"{said}; stop what listens there, or give another address with --listen") from None
