# pyright: reportUnknownMemberType=false
# The framework's types of handlers are open.
"""The mirror over HTTP for auditors: each log as its node would serve it, with the federation's receipts beside it.

Whoever reads it need not believe it: everything is under the checkpoints that the log's own key has signed.
"""

from typing import Annotated, Final

from litestar import Response, Router, get
from litestar.params import FromPath, PathParameter

from tomoni.auth import requires
from tomoni.database import Connection, Pool
from tomoni.eventlog.routes import (
    FRESH,
    IMMUTABLE,
    NOTES_PAGE,
    AfterSize,
    covered,
    note_answered,
    notes_answered,
    notes_page,
    tile_answered,
)
from tomoni.problems import Problem
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, encode_bundle, encode_tile, tile_root

LATEST: Final = "SELECT size, note FROM mirror.checkpoint WHERE log = $1 ORDER BY size DESC LIMIT 1"
CHECKPOINTS: Final = "SELECT note FROM mirror.checkpoint WHERE log = $1 AND size > $2 ORDER BY size LIMIT $3"
RECEIPTS: Final = """
SELECT receipt FROM mirror.checkpoint WHERE log = $1 AND size > $2 AND receipt IS NOT NULL ORDER BY size LIMIT $3
"""
HEARTBEAT: Final = """
SELECT note FROM mirror.heartbeat WHERE log = $1 AND proven ORDER BY size DESC, as_of DESC LIMIT 1
"""
ENTRIES: Final = "SELECT data FROM mirror.entry WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position"
LEAVES: Final = "SELECT leaf FROM mirror.entry WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position"

Code = Annotated[str, PathParameter(pattern="^[0-9]{6}$", description="six-digit code of a jurisdiction")]


def mirror_routes(pool: Pool) -> Router:
    """Return the routes below `/v1/jurisdictions/<code>/log`."""
    opt = requires("auditor")

    @get("/checkpoint", opt=opt, summary="The newest proven checkpoint of a jurisdiction", responses=note_answered())
    async def checkpoint(code: FromPath[Code]) -> Response[bytes]:
        """Return the newest checkpoint that is proven, as the log's node has signed it (C2SP tlog-checkpoint)."""
        latest = await pool.fetchrow(LATEST, code)
        if latest is None:
            raise Problem("not-found", "Nothing of such a log is proven: check the code, or ask again later.")
        return Response(latest["note"], media_type="text/plain", headers=FRESH)

    @get(
        "/tile/{path:path}",
        opt=opt,
        summary="A tile of hashes or a bundle of entries of a jurisdiction",
        responses=tile_answered(),
    )
    async def tile(code: FromPath[Code], path: FromPath[str]) -> Response[bytes]:
        """Return a tile, `<L>/<N>[.p/<W>]`, or a bundle of entries, `entries/<N>[.p/<W>]` (C2SP tlog-tiles)."""
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            latest = await connection.fetchrow(LATEST, code)
            name = covered(path, None if latest is None else latest["size"])
            if isinstance(name, EntryBundle):
                data = encode_bundle(await _column(connection, ENTRIES, code, name.index * TILE_WIDTH, name.width))
            else:
                hashes = await _hashes(connection, code, name.level, name.index * TILE_WIDTH, name.width)
                data = encode_tile(hashes)
        return Response(data, media_type="application/octet-stream", headers=IMMUTABLE)

    @get("/checkpoints", opt=opt, summary="Every proven checkpoint of a jurisdiction", responses=notes_answered())
    async def checkpoints(code: FromPath[Code], after: AfterSize = -1) -> Response[bytes]:
        """Return the proven checkpoints of sizes after one, each followed by an empty line; nothing at the end."""
        return notes_page(row["note"] for row in await pool.fetch(CHECKPOINTS, code, after, NOTES_PAGE))

    @get("/receipts", opt=opt, summary="Every receipt that a jurisdiction was given", responses=notes_answered())
    async def receipts(code: FromPath[Code], after: AfterSize = -1) -> Response[bytes]:
        """Return checkpoints that the federation has cosigned with the time, like `checkpoints`."""
        return notes_page(row["receipt"] for row in await pool.fetch(RECEIPTS, code, after, NOTES_PAGE))

    @get("/heartbeat", opt=opt, summary="The latest proven heartbeat of a jurisdiction", responses=note_answered())
    async def heartbeat(code: FromPath[Code]) -> Response[bytes]:
        """Return the heartbeat of the largest proven size, the latest one (C2SP tlog-cosignature)."""
        latest = await pool.fetchrow(HEARTBEAT, code)
        if latest is None:
            raise Problem("not-found", "No heartbeat of such a log is proven. Ask again in a minute.")
        return Response(latest["note"], media_type="text/plain", headers=FRESH)

    handlers = [checkpoint, tile, checkpoints, receipts, heartbeat]
    return Router(path="/v1/jurisdictions/{code:str}/log", route_handlers=handlers, tags=["log"])


async def _hashes(connection: Connection, code: str, level: int, first: int, count: int) -> list[bytes]:
    """Return hashes of a level of tiles, made from leaves, 65,536 of which are in memory at most.

    Higher tiles are not stored. A log of a hundred thousand entries has one tile above the first level, and only tools
    that are not ours ask for it: `tomoni audit fetch` makes tiles from entries.
    """
    if level == 0:
        return await _column(connection, LEAVES, code, first, count)
    if level == 1:
        leaves = await _column(connection, LEAVES, code, first * TILE_WIDTH, count * TILE_WIDTH)
        return [tile_root(leaves[start : start + TILE_WIDTH]) for start in range(0, len(leaves), TILE_WIDTH)]
    places = range(first * TILE_WIDTH, (first + count) * TILE_WIDTH, TILE_WIDTH)
    return [tile_root(await _hashes(connection, code, level - 1, place, TILE_WIDTH)) for place in places]


async def _column(connection: Connection, query: str, code: str, first: int, count: int) -> list[bytes]:
    """Return a column of entries; raise Problem where the mirror lacks one: nothing half is served."""
    rows = await connection.fetch(query, code, first, first + count)
    if len(rows) != count:
        raise Problem("unavailable", "The mirror lacks entries of this log. Tell the operator: see verify-mirror.")
    return [row[0] for row in rows]
