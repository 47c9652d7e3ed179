"""Which hubs may be named: those on this machine, and all others by TLS alone."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tomoni.addresses import is_this_machine
from tomoni.settings import SettingsError
from tomoni.transport.connection import tls_context


def tls_for(servers: Sequence[str], ca_file: Path | None) -> ssl.SSLContext | None:
    """Return the TLS that servers are spoken to with, None where all are on this machine and named by `nats://`.

    `ca_file`: an authority other than the system's. Raises SettingsError where others could read along, who learn
    when a town records what, or where the file cannot be used.
    """
    if not all(server.startswith("tls://") for server in servers):
        if not all(_is_near(server) for server in servers):
            raise SettingsError("hub.servers: name every hub by tls:// (nats:// where all are on this machine)")
        return None
    try:
        return tls_context(str(ca_file) if ca_file else None)
    except OSError as error:
        raise SettingsError("hub.ca_file cannot be read or holds no certificate") from error


def _is_near(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme == "nats" and is_this_machine(parts.hostname or "")
    except ValueError:
        return False
