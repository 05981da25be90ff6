"""The sockets that the manager listens at."""

import socket

from k8s_manager.api.listener.server import listening_sockets


def test_an_accepted_connection_sends_the_body_without_waiting_for_the_heads_acknowledgement():
    (listening,) = listening_sockets("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname()) as client:
        accepted, _ = listening.accept()
        with accepted:
            assert client.getpeername() == accepted.getsockname()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
