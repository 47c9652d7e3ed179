# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""`GET /v1/jurisdictions/{code}/tail`: what is proven of a town's log, for the town that has lost it.

A node that was restored from an old backup is behind what it has signed. It gets the missing entries back from here and
verifies them with its own key, so it need not trust us.
"""

from typing import Annotated, Final

from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter

from tomoni.auth import requires
from tomoni.database import Pool
from tomoni.documentation import answered, problems
from tomoni.problems import Problem
from tomoni.tail import Checkpoint, TailPage
from tomoni_federation.interface import AnyRequest, jurisdiction
from tomoni_federation.mirror.tree import WHOLE
from tomoni_federation.status.api import respond

MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 4_000_000
"""Entries and their bytes in a page at most; at least one entry."""

_ENTRIES: Final = f"""
SELECT position, data, proven_size FROM (
    SELECT page.*, sum(length(data)) OVER (ORDER BY position) AS bytes FROM (
        SELECT e.position, e.data, l.proven_size FROM mirror.log l JOIN mirror.entry e ON e.log = l.log
        WHERE l.log = $1 AND e.position >= $2 AND e.position < l.proven_size AND {WHOLE}
        ORDER BY e.position LIMIT $3
    ) AS page
) AS counted WHERE bytes <= $4 OR position = $2 ORDER BY position
"""  # noqa: S608  # our own text
_CHECKPOINTS: Final = """
SELECT size, note FROM mirror.checkpoint WHERE log = $1 AND size > $2 AND size <= $3 ORDER BY size
"""
_AHEAD: Final = """
SELECT note FROM mirror.awaited_checkpoint WHERE log = $1
UNION ALL SELECT note FROM mirror.heartbeat WHERE log = $1 AND NOT proven
"""


def tail_routes(pool: Pool) -> Router:
    """Return the route; only a token that is bound to the jurisdiction is answered: a log's size is its secret."""

    @get(
        "/v1/jurisdictions/{code:str}/tail",
        opt=requires("supervisor", "auditor"),
        tags=["admissions"],
        summary="What is proven of a town's log, for the town that has lost it",
        responses=answered(200, TailPage) | problems("jurisdiction-not-found"),
    )
    async def tail(
        request: AnyRequest,
        code: FromPath[str],
        start: Annotated[int, QueryParameter(name="from", ge=0, le=2**53, description="the first position wanted")] = 0,
    ) -> Response[bytes]:
        """Give a page of the proven entries of the token's own town, from a position on."""
        log = jurisdiction(code).code
        if request.user.jurisdiction != log:
            raise Problem("forbidden", "The tail of a log is for its own town: the token must be bound to it.")
        return respond(await read_page(pool, log, start))

    return Router(path="/", route_handlers=[tail])


async def read_page(pool: Pool, log: str, start: int) -> TailPage:
    """Return the page from a position on; it ends before an entry that the mirror lacks."""
    rows = await pool.fetch(_ENTRIES, log, start, MAX_ENTRIES, MAX_BYTES)
    entries = [row["data"] for at, row in enumerate(rows, start) if row["position"] == at]
    end = start + len(entries)
    checkpoints = [Checkpoint(size=size, note=note) for size, note in await pool.fetch(_CHECKPOINTS, log, start, end)]
    more = bool(entries) and end < rows[0]["proven_size"]
    ahead = () if more else tuple(row["note"] for row in await pool.fetch(_AHEAD, log))
    return TailPage(entries=tuple(entries), checkpoints=tuple(checkpoints), ahead=ahead, after=end if more else None)
