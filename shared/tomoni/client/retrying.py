"""Which failures are worth another attempt, and when: what is sent twice is done once, so asking again does no harm."""

from typing import Final

import httpx

TOO_MANY_REQUESTS: Final = 429
_BUSY: Final = frozenset({TOO_MANY_REQUESTS, 502, 503, 504})
_LONGEST_WAIT: Final = 90.0
"""A whole minute's worth of lookups is there again after a minute; nobody is waited for much longer."""
ATTEMPTS: Final = 6
TIMEOUT_SECONDS: Final = 45.0
"""For all attempts, while the federation cannot be reached."""
TURNS: Final = 3
"""How often it is asked where it answers that it was asked too often."""


class BusyError(Exception):
    """The federation answered that it cannot right now; `seconds` until it asked to be asked again, if it said so."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response
        self.seconds = _retry_after(response)

    @property
    def is_limit(self) -> bool:
        """Whether it was asked too often, and not in trouble."""
        return self.response.status_code == TOO_MANY_REQUESTS

    @property
    def wait(self) -> bool | float:
        """The seconds to wait; True where it did not say."""
        return True if self.seconds is None else min(self.seconds, _LONGEST_WAIT)


def raise_if_busy(response: httpx.Response) -> None:
    """Raise BusyError where another attempt may succeed."""
    if response.status_code in _BUSY:
        raise BusyError(response)


def should_retry(error: Exception) -> bool | float:
    """Tell stamina whether to try again: False, True (with its own backoff), or the seconds to wait."""
    if isinstance(error, BusyError):
        return not error.is_limit and error.wait
    return isinstance(error, httpx.TransportError)


def should_wait(error: Exception) -> bool | float:
    """Tell stamina the same of a limit that was reached: to wait is all that helps, and for how long was said."""
    return isinstance(error, BusyError) and error.is_limit and error.wait


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
