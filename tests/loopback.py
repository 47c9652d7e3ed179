"""HTTP clients for services on this machine."""

import httpx

from tomoni.loopback import NOBODY


def client(url: str = "", **options) -> httpx.AsyncClient:
    """Return a client; `url` stands before the paths that are asked for."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=NOBODY, **options)
