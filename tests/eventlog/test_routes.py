"""The log over HTTP: what any C2SP tlog-tiles client reads, and not a byte beyond the signed checkpoint."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from tests.eventlog.making import grow
from tests.eventlog.test_publisher import ORIGIN, SIGNER, make_publisher
from tomoni.auth import TokenIssuer, TokenVerifier, bearer_middleware, requires
from tomoni.database import Pool
from tomoni.eventlog import CheckpointPublisher, Sequencer, log_routes
from tomoni.eventlog.tree import integrate
from tomoni.problems import exception_handlers
from tomoni.tlog.checkpoint import open_checkpoint, parse_checkpoint
from tomoni.tlog.merkle import leaf_hash
from tomoni.tlog.note import read_note
from tomoni.tlog.notes import read_notes
from tomoni.tlog.tiles import decode_bundle, entries_path, tile_path, tile_root


@pytest.fixture
async def client(pool: Pool, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    TokenIssuer.create(tmp_path / "tokens.jwk")
    issuer = TokenIssuer(tmp_path / "tokens.jwk", "https://issuer.test")
    verifier = TokenVerifier(issuer.jwks(), "https://issuer.test", ORIGIN)
    app = Litestar(
        log_routes(pool, requires("auditor")),
        middleware=[bearer_middleware(verifier)],
        exception_handlers=exception_handlers,
    )
    headers = {"Authorization": f"Bearer {issuer.issue('somebody', ['auditor'], ORIGIN)}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://node.test", headers=headers
    ) as made:
        yield made


@pytest.fixture
async def publisher(pool: Pool, tmp_path: Path) -> CheckpointPublisher:
    made = make_publisher(pool, tmp_path)
    await made.check()
    return made


async def test_the_checkpoint_is_served_as_it_was_signed(
    client: httpx.AsyncClient, publisher: CheckpointPublisher, sequencer: Sequencer
) -> None:
    assert (await client.get("/log/checkpoint")).status_code == 404
    await grow(sequencer, 3)
    signed = await publisher.publish()
    answer = await client.get("/log/checkpoint")
    assert (answer.status_code, answer.content) == (200, signed.note)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert open_checkpoint(answer.content, ORIGIN, [SIGNER.verifier]).size == 3


async def test_tiles_and_bundles_are_served_up_to_the_checkpoint(
    client: httpx.AsyncClient, publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool
) -> None:
    await grow(sequencer, 600)
    await publisher.publish()
    await grow(sequencer, 200, 600)
    assert await integrate(pool) == 800  # integrated, and not yet signed for
    leaves = [leaf_hash(b"entry %d" % n) for n in range(800)]
    for path, expected in (
        (tile_path(0, 0), leaves[:256]),
        (tile_path(0, 0, 7), leaves[:7]),
        (tile_path(0, 2, 88), leaves[512:600]),
        (tile_path(0, 2, 1), leaves[512:513]),
        (tile_path(1, 0, 2), [tile_root(leaves[:256]), tile_root(leaves[256:512])]),
        (tile_path(1, 0, 1), [tile_root(leaves[:256])]),
    ):
        answer = await client.get(f"/log/{path}")
        assert (answer.status_code, answer.content) == (200, b"".join(expected)), path
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    for index, width in ((0, 256), (1, 256), (2, 88), (2, 5)):
        answer = await client.get(f"/log/{entries_path(index, width)}")
        assert answer.status_code == 200
        start = index * 256
        assert decode_bundle(answer.content, width) == [b"entry %d" % n for n in range(start, start + width)]
        assert answer.headers["content-type"] == "application/octet-stream"


BEYOND_OR_MALFORMED = [
    tile_path(0, 2),
    tile_path(0, 2, 89),
    tile_path(0, 3, 1),
    tile_path(1, 0, 3),
    tile_path(1, 0),
    tile_path(2, 0, 1),
    tile_path(63, 0, 1),
    tile_path(0, 2**40, 1),
    entries_path(2),
    entries_path(2, 89),
    entries_path(3, 1),
    "tile/0/000.p/256",
    "tile/0/0",
    "tile/00/000",
    "tile/64/000",
    "tile/0/x000/001",
    "tile/-1/000",
    "tile/data/000",
    "tile/0/000.p/0",
]


async def test_what_the_checkpoint_does_not_cover_or_the_form_does_not_allow_is_not_found(
    client: httpx.AsyncClient, publisher: CheckpointPublisher, sequencer: Sequencer
) -> None:
    assert (await client.get("/log/tile/0/000.p/1")).status_code == 404
    await grow(sequencer, 600)
    await publisher.publish()
    await grow(sequencer, 200, 600)
    for path in BEYOND_OR_MALFORMED:
        answer = await client.get(f"/log/{path}")
        assert (path, answer.status_code) == (path, 404)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_nobody_passes_whom_the_routes_are_not_reserved_for(client: httpx.AsyncClient, tmp_path: Path) -> None:
    clerk = TokenIssuer(tmp_path / "tokens.jwk", "https://issuer.test").issue("clerk", ["clerk"], ORIGIN)
    for path in ("/log/checkpoint", "/log/tile/0/000", "/log/tile/entries/000.p/1", "/log/tile/x"):
        assert (await client.get(path, headers={"Authorization": f"Bearer {clerk}"})).status_code == 403


async def test_every_checkpoint_and_the_latest_heartbeat_are_served(
    client: httpx.AsyncClient, publisher: CheckpointPublisher, sequencer: Sequencer
) -> None:
    assert (await client.get("/log/checkpoints")).content == b""
    assert (await client.get("/log/heartbeat")).status_code == 404
    notes: list[bytes] = []
    for start in (0, 3, 6):
        await grow(sequencer, 3, start)
        notes.append((await publisher.publish()).note)
    await publisher.heartbeat()
    assert list(read_notes(BytesIO((await client.get("/log/checkpoints")).content))) == notes
    assert list(read_notes(BytesIO((await client.get("/log/checkpoints?after=3")).content))) == notes[1:]
    assert (await client.get("/log/checkpoints?after=9")).content == b""
    assert parse_checkpoint(read_note((await client.get("/log/heartbeat")).content).text).size == 9
