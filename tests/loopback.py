"""HTTP clients for services on this machine: plain http, so they need not read the certificate authorities.

httpx reads them for every client it makes, 25 ms of processor time each, and the tests make thousands.
"""

import ssl
from typing import Final

import httpx

NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: whatever answers over TLS is refused."""


def client(url: str = "", **options) -> httpx.AsyncClient:
    """Return a client; `url` stands before the paths that are asked for."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=NOBODY, **options)
