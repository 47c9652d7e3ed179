"""What starts other processes."""

import socket

from tomoni.processes import free_port


def test_a_free_port_is_given_to_nobody_else_and_whoever_names_it_can_listen_on_it():
    ports = [free_port() for _ in range(1_000)]
    assert len(set(ports)) == len(ports)
    for _ in range(1_000):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[1] not in ports
    with socket.create_server(("127.0.0.1", ports[-1]), reuse_port=False) as server:
        assert server.getsockname()[1] == ports[-1]
