"""Ports, picked once and kept: nodes know the hub by its port, and `-1` would be another one at each start."""

import socket
from pathlib import Path

import msgspec

from tomoni_federation.hub.files import write_atomically

PORTS_FILE = "ports.json"


class Ports(msgspec.Struct, frozen=True):
    """Where clients connect, and where the server is watched on loopback."""

    clients: int
    monitor: int


def kept_ports(folder: Path, wanted: int) -> Ports:
    """Return the ports of this hub: `wanted` for clients (0: any free one), the same at every start."""
    file = folder / PORTS_FILE
    if file.exists():
        kept = msgspec.json.decode(file.read_bytes(), type=Ports)
        if wanted in (0, kept.clients):
            return kept
    ports = Ports(clients=wanted or free_port(), monitor=free_port())
    write_atomically(file, msgspec.json.encode(ports))
    return ports


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody holds right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
