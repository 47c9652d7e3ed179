"""HTTP to this machine: in the clear, past the proxies of the environment, and without certificate authorities.

httpx reads the authorities for every client it makes, 25 ms of processor time each.
"""

import ssl
from typing import Final

NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: whatever answers over TLS is refused. For `httpx.Client(verify=…, trust_env=False)`."""
