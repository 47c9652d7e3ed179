"""Addresses on whose way nobody else can read or change anything: this machine, or TLS that says who answers."""

import os
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

from tomoni.settings import SettingsError


def is_this_machine(host: str) -> bool:
    """Tell whether a host, a name or an IP address without brackets, is this machine's loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private_url(url: str) -> bool:
    """Tell whether what is sent to a URL can be read by nobody on its way: `https://`, or `http://` to this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host)))


def require_private_database(dsn: str) -> None:
    """Refuse a connection string by which others could read, or answer, what is meant for the database.

    By its driver's own default (`sslmode=prefer`) a service speaks without TLS to whoever says that he has none. So a
    database on another machine is named with `sslmode=verify-full`. Raises SettingsError, which repeats nothing: a
    connection string holds a password.
    """
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    named = parts.netloc.rpartition("@")[2] or query.get("host", [""])[0] or os.environ.get("PGHOST", "")
    mode = query.get("sslmode", [os.environ.get("PGSSLMODE", "")])[0]
    if mode != "verify-full" and not all(_is_near(unquote(place)) for place in named.split(",")):
        raise SettingsError(
            "the database is on another machine: name it with sslmode=verify-full, and sslrootcert with the file of "
            "the authority that signed its certificate"
        )


def _is_near(place: str) -> bool:
    """Tell whether a host with or without a port is this machine, or the folder of a socket."""
    if not place or place.startswith(("/", "@")):
        return True
    return is_this_machine(place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0])
