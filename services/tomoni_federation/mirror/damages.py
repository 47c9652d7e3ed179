# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""`GET /v1/jurisdictions/{code}/damages`: what was found wrong in the mirror of a log, and when it was mended.

For auditors: an answer of that time was given from a mirror that was not whole.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath

from tomoni.auth import requires
from tomoni.database import Pool
from tomoni.documentation import answered, problems
from tomoni_federation.interface import jurisdiction
from tomoni_federation.status.api import respond

DAMAGES: Final = """
SELECT first, beyond, found_at, mended_at FROM mirror.damage WHERE log = $1 ORDER BY found_at DESC, first LIMIT 1000
"""


class Damage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Positions from `first` up to, and without, `beyond`, that were not what was proven, from when to when."""

    first: int
    beyond: int
    found_at: datetime
    mended_at: datetime | None = None


class Damages(msgspec.Struct, frozen=True, kw_only=True):
    """What was found wrong in the mirror of a log, the newest first, a thousand at most."""

    damages: tuple[Damage, ...]


_EXAMPLE: Final = Damages(
    damages=(
        Damage(
            first=4711,
            beyond=4712,
            found_at=datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
            mended_at=datetime(2026, 11, 23, 3, 5, tzinfo=UTC),
        ),
    )
)


def damage_routes(pool: Pool) -> Router:
    """Return the route."""

    @get(
        "/v1/jurisdictions/{code:str}/damages",
        opt=requires("auditor"),
        tags=["log"],
        summary="What was found wrong in the mirror of a jurisdiction's log",
        responses=answered(200, Damages, _EXAMPLE) | problems("jurisdiction-not-found"),
    )
    async def damages(code: FromPath[str]) -> Response[bytes]:
        """Tell which entries of the mirror were found changed or gone, when, and since when they are whole again."""
        rows = await pool.fetch(DAMAGES, jurisdiction(code).code)
        return respond(Damages(damages=tuple(Damage(**dict(row)) for row in rows)))

    return Router(path="/", route_handlers=[damages])
