"""Which prefecture somebody asks about: an aggregator about its own, others about any."""

from typing import Annotated

from litestar.params import QueryParameter

from tomoni.auth import Principal
from tomoni.jurisdictions import JurisdictionError, prefecture_of
from tomoni.problems import Kind, Problem, register

register({"prefecture-not-found": Kind(422, "There is no such prefecture")})

AskedPrefecture = Annotated[
    str | None,
    QueryParameter(max_length=2, description="two digits (JIS X 0401); an aggregator's own where left out"),
]


def prefecture_within_reach(principal: Principal, asked: str | None) -> str | None:
    """Return the digits of the prefecture that is asked about; None: nobody named one, and all are within reach.

    Raises Problem where there is no such prefecture, or where an aggregator names another than its own.
    """
    if asked is not None:
        try:
            asked = prefecture_of(asked.rjust(2)).prefecture
        except JurisdictionError:
            raise Problem("prefecture-not-found", "A prefecture has two digits, 01 to 47.") from None
    if principal.scopes & {"auditor", "secretariat"}:
        return asked
    if principal.prefecture is None or asked not in (None, principal.prefecture):
        raise Problem("forbidden", "An aggregator asks about its own prefecture only.")
    return principal.prefecture
