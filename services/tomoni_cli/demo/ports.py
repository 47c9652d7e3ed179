"""Free ports for the demonstration, remembered in its folder while nobody else has taken them."""

import socket
from pathlib import Path

import msgspec

from tomoni.processes import free_port


def choose_ports(file: Path, names: list[str]) -> dict[str, int]:
    """Return a port for each name: the one used last time where it is still free, else another."""
    known = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
    ports = {name: known[name] if name in known and _is_free(known[name]) else free_port() for name in names}
    file.write_bytes(msgspec.json.encode(ports))
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
