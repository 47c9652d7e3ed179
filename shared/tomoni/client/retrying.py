"""Which failures are worth another attempt, and when: every question only reads, so asking again does no harm."""

from typing import Final

import httpx

TOO_MANY_REQUESTS: Final = 429
_BUSY: Final = frozenset({TOO_MANY_REQUESTS, 502, 503, 504})
_LONGEST_WAIT: Final = 30.0
ATTEMPTS: Final = 6
TIMEOUT_SECONDS: Final = 45.0


class BusyError(Exception):
    """The federation answered that it cannot right now; `seconds` until it asked to be asked again, if it said so."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response
        self.seconds = _retry_after(response)


def raise_if_busy(response: httpx.Response) -> None:
    """Raise BusyError where another attempt may succeed."""
    if response.status_code in _BUSY:
        raise BusyError(response)


def should_retry(error: Exception) -> bool | float:
    """Tell stamina whether to try again: False, True (with its own backoff), or the seconds to wait."""
    if isinstance(error, BusyError):
        return True if error.seconds is None else min(error.seconds, _LONGEST_WAIT)
    return isinstance(error, httpx.TransportError)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
