"""Ports: the clients' is picked once and kept, since nodes know the hub by it; `-1` would be another at each start."""

from pathlib import Path

import msgspec

from tomoni.processes import free_port
from tomoni_federation.hub.files import write_atomically

PORTS_FILE = "port"


class Ports(msgspec.Struct, frozen=True):
    """Where clients connect, and where the server is watched on loopback (another port at each start)."""

    clients: int
    monitor: int


def kept_ports(folder: Path, wanted: int) -> Ports:
    """Return the ports of this hub: `wanted` for clients (0: any that was free, the same at every start)."""
    file = folder / PORTS_FILE
    kept = msgspec.json.decode(file.read_bytes(), type=int) if file.exists() else 0
    clients = wanted or kept or free_port()
    if clients != kept:
        write_atomically(file, msgspec.json.encode(clients))
    return Ports(clients=clients, monitor=free_port())
