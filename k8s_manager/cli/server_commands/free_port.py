"""Check that an address can be listened on, before anything else is started."""

from k8s_manager.api.listener.server import listening_sockets


def require_free(host: str, port: int) -> None:
    """Raise `Stalled` where an address cannot be listened on, such as while another program does."""
    for opened in listening_sockets(host, port):
        opened.close()
