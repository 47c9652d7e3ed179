# pyright: reportUnknownMemberType=false
# The framework's types of handlers are open.
"""The log over HTTP, as any C2SP tlog-tiles client reads it, up to the newest signed checkpoint and never beyond."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from tomoni.database import Pool
from tomoni.documentation import problems
from tomoni.eventlog.checkpoints import CheckpointStore
from tomoni.eventlog.reader import EventReader
from tomoni.eventlog.tree import read_tiles
from tomoni.problems import Problem
from tomoni.tlog.merkle import HASH_SIZE, MAX_SIZE
from tomoni.tlog.notes import join_notes
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, Tile, TileError, encode_bundle, parse_path, tile_width

IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
"""What a tile or bundle holds at a width never changes. Private: a log's size is its town's secret."""

FRESH = {"Cache-Control": "private, no-cache"}

NOTES_PAGE = 1_000
"""Notes of one answer at most."""

AfterSize = Annotated[
    int, QueryParameter(ge=-1, le=MAX_SIZE, description="the size of the last one known; left out: from the first on")
]


def log_routes(pool: Pool, reserved: Mapping[str, object]) -> list[HTTPRouteHandler]:
    """Return the routes below `/log`; `reserved` for whom, see `tomoni.auth.requires`."""
    store, reader = CheckpointStore(pool), EventReader(pool)

    @get(
        "/log/checkpoint",
        opt=reserved,
        tags=["log"],
        summary="The newest signed checkpoint",
        responses=note_answered(),
    )
    async def checkpoint() -> Response[bytes]:
        """Return the newest checkpoint, a signed note (C2SP tlog-checkpoint)."""
        latest = await store.latest()
        if latest is None:
            raise Problem("not-found", "No checkpoint of this log is signed yet. Ask again in a minute.")
        return Response(latest.note, media_type="text/plain", headers=FRESH)

    @get(
        "/log/tile/{path:path}",
        opt=reserved,
        tags=["log"],
        summary="A tile of hashes or a bundle of entries",
        responses=tile_answered(),
    )
    async def tile(path: FromPath[str]) -> Response[bytes]:
        """Return a tile, `<L>/<N>[.p/<W>]`, or a bundle of entries, `entries/<N>[.p/<W>]` (C2SP tlog-tiles)."""
        latest = await store.latest()
        name = covered(path, None if latest is None else latest.size)
        data = await (_hashes(pool, name) if isinstance(name, Tile) else _bundle(reader, name))
        return Response(data, media_type="application/octet-stream", headers=IMMUTABLE)

    @get(
        "/log/checkpoints",
        opt=reserved,
        tags=["log"],
        summary="Every signed checkpoint",
        responses=notes_answered(),
    )
    async def checkpoints(after: AfterSize = -1) -> Response[bytes]:
        """Return the checkpoints of sizes after one, by size, each followed by an empty line; nothing at the end."""
        return notes_page(signed.note for signed in await store.read_from(after + 1, NOTES_PAGE))

    @get(
        "/log/heartbeat",
        opt=reserved,
        tags=["log"],
        summary="The latest heartbeat",
        responses=note_answered(),
    )
    async def heartbeat() -> Response[bytes]:
        """Return the latest heartbeat, a checkpoint cosigned with the time (C2SP tlog-cosignature)."""
        latest = await store.heartbeat()
        if latest is None:
            raise Problem("not-found", "No heartbeat of this log is signed yet. Ask again in a minute.")
        return Response(latest.note, media_type="text/plain", headers=FRESH)

    return [checkpoint, tile, checkpoints, heartbeat]


def covered(path: str, size: int | None) -> Tile | EntryBundle:
    """Return the tile or bundle of a path below `tile/`; raise Problem where a log of a size (None: no log) has none.

    It raises the same for a malformed path.
    """
    try:
        name = parse_path(f"tile/{path.removeprefix('/')}")
    except TileError as error:
        raise Problem("not-found", "This is not the path of a tile: see C2SP tlog-tiles for their form.") from error
    level = name.level if isinstance(name, Tile) else 0
    if size is None or tile_width(level, name.index, size) < name.width:
        raise Problem("not-found", "The newest checkpoint does not cover this. Read the checkpoint again.")
    return name


def notes_page(notes: Iterable[bytes]) -> Response[bytes]:
    """Return the answer with a page of notes (`tomoni.tlog.notes`)."""
    return Response(join_notes(notes), media_type="text/plain", headers=FRESH)


def note_answered() -> dict[int, ResponseSpec]:
    """Return the description of an answer that is one note."""
    return _answered("text/plain") | problems("not-found")


def notes_answered() -> dict[int, ResponseSpec]:
    """Return the description of an answer that is a page of notes."""
    return _answered("text/plain") | problems()


def tile_answered() -> dict[int, ResponseSpec]:
    """Return the description of an answer that is a tile or a bundle."""
    return _answered("application/octet-stream") | problems("not-found")


def _answered(media_type: str) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(
            data_container=str,
            generate_examples=False,
            media_type=media_type,  # pyright: ignore[reportArgumentType]  # any media type may be named
            description="As the specification has it",
        )
    }


async def _hashes(pool: Pool, tile: Tile) -> bytes:
    stored = await read_tiles(pool, [(tile.level, tile.index)])
    return stored[tile.level, tile.index][: tile.width * HASH_SIZE]


async def _bundle(reader: EventReader, bundle: EntryBundle) -> bytes:
    entries = await reader.read(bundle.index * TILE_WIDTH, bundle.width)
    return encode_bundle(entry.data for entry in entries)
