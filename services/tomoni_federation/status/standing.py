"""How an issuer stands as a whole: one word, the same for who asks about completeness and for who watches documents."""

from datetime import datetime, timedelta
from typing import Final, Literal

from tomoni.history.status import IssuerView

SILENT_AFTER: Final = timedelta(hours=24)
"""Heartbeats come every minute; after a day counters are told `unknown`."""

Standing = Literal["live", "silent", "never-heard", "suspended", "quarantined", "halted", "not-taking-part"]


def standing(issuer: IssuerView, now: datetime) -> Standing:
    """Return how an issuer stands at an instant: the gravest of what there is to say of it."""
    if issuer.state is None:
        return "not-taking-part"
    if issuer.state == "quarantined":
        return "quarantined"
    if issuer.halted or issuer.unknown:
        return "halted"
    if issuer.state == "suspended":
        return "suspended"
    if issuer.fresh_as_of is None:
        return "never-heard"
    return "live" if now - issuer.fresh_as_of <= SILENT_AFTER else "silent"
