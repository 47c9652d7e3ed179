"""Verifying wholes: a log from what its database would publish, a mirror, and a read model by its own replay."""

import asyncpg

from tests.federation.towns import FEDERATION
from tomoni.database import Connection, Pool
from tomoni.eventlog import CheckpointStore, EventReader
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint
from tomoni.tlog.merkle import HASH_SIZE, CompactRange, leaf_hash
from tomoni.tlog.note import Verifier
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, encode_bundle, parse_path
from tomoni.tlog.verify import NotPublishedError, verify_tree
from tomoni_federation.mirror.verify import Fault, verify_mirror
from tomoni_federation.projections.digest import digest
from tomoni_federation.projections.project import Behind, fold_behind, write_changes

EVERYTHING = 1_000_000


async def require_whole_log(pool: Pool, origin: str, *verifiers: Verifier) -> list[bytes]:
    """Require that entries are dense, every stored checkpoint is true of them and the tiles are theirs; return them."""
    entries = [entry.data for entry in await EventReader(pool).read(0, EVERYTHING)]
    assert await EventReader(pool).head() == len(entries)
    tree, roots = CompactRange(), {}
    for entry in entries:
        tree.append(leaf_hash(entry))
        roots[tree.size] = tree.root()
    for signed in await CheckpointStore(pool).read_from(1, EVERYTHING):
        checkpoint = open_checkpoint(signed.note, origin, verifiers)
        assert (checkpoint.size, checkpoint.root) == (signed.size, roots[signed.size])
    tiles = {(row["level"], row["index"]): row["hashes"] for row in await pool.fetch("SELECT * FROM log.tile")}

    def fetch(path: str) -> bytes:
        name = parse_path(path)
        if isinstance(name, EntryBundle):
            first = name.index * TILE_WIDTH
            return encode_bundle(entries[first : first + name.width])
        hashes = tiles.get((name.level, name.index), b"")[: name.width * HASH_SIZE]
        if len(hashes) < name.width * HASH_SIZE:
            raise NotPublishedError(path)
        return hashes

    if size := await pool.fetchval("SELECT size FROM log.tree"):
        verify_tree(Checkpoint(origin, size, roots[size]), fetch)
    return entries


async def require_whole_mirror(connection: Connection) -> None:
    """Require that every mirrored log is what its own keys have signed."""
    async with connection.transaction(isolation="repeatable_read"):
        found = [finding async for finding in verify_mirror(connection, FEDERATION)]
    assert not [finding for finding in found if isinstance(finding, Fault)]


async def require_equal_to_replay(owner: asyncpg.Connection) -> None:
    """Require that the read model is what folding each log from its first entry makes; nothing is changed by it."""
    replaying = owner.transaction()
    await replaying.start()
    try:
        live = await digest(owner)
        rows = await owner.fetch("SELECT log, position FROM projection.cursor ORDER BY log")
        for code, position in rows:
            await owner.execute("SELECT projection.forget_beyond($1, 0)", code)
            behind = [Behind(code, 0, position, missing_unknown=False)]
            _, changes = await fold_behind(owner, FEDERATION, behind, new_too=True)
            await write_changes(owner, changes)
        assert await owner.fetch("SELECT log, position FROM projection.cursor ORDER BY log") == rows
        assert await digest(owner) == live
    finally:
        await replaying.rollback()
