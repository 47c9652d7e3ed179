"""Row `verify`: verifying a whole log, against a bare loop of SHA-256 over its leaves and nodes."""

import hashlib
import time
from pathlib import Path

from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hashes
from tomoni.tlog.note import Signer, generate_signer
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, Tile, encode_bundle, tile_root, tile_width
from tomoni_auditor.verify.sources import open_source
from tomoni_auditor.verify.verification import verify_log
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import issued_entries

ORIGIN = "bench.example/131130"


async def run(folder: Path, entries: int) -> list[Row]:
    """Write a log of so many entries to files, then verify it as `tomoni log verify` does."""
    signer = generate_signer(ORIGIN)
    samples = issued_entries(entries)
    _write_log(folder, samples, signer)

    async def ours() -> float:
        started = time.perf_counter()
        with open_source(str(folder), None) as source:
            verify_log(source, [signer.verifier], ORIGIN)
        return entries / (time.perf_counter() - started)

    async def limit() -> float:
        started = time.perf_counter()
        _bare_loop(samples)
        return entries / (time.perf_counter() - started)

    return [await compare("verify a log", ours, limit, reach=0.5, unit="entries/s")]


def _bare_loop(entries: list[bytes]) -> bytes:
    """Hash every leaf and every node once, and do nothing else: no verification can be faster."""
    sha256 = hashlib.sha256
    row = [sha256(b"\x00" + entry).digest() for entry in entries]
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    return row[0]


def _write_log(folder: Path, entries: list[bytes], signer: Signer) -> None:
    size, level = len(entries), 0
    row = leaf_hashes(entries)
    tree = CompactRange()
    tree.extend(row)
    for index in range(-(-size // TILE_WIDTH)):
        bundle = EntryBundle(index, tile_width(0, index, size))
        start = index * TILE_WIDTH
        _write(folder / bundle.path, encode_bundle(entries[start : start + bundle.width]))
    while row:
        tiles = [row[start : start + TILE_WIDTH] for start in range(0, len(row), TILE_WIDTH)]
        for index, hashes in enumerate(tiles):
            _write(folder / Tile(level, index, len(hashes)).path, b"".join(hashes))
        row = [tile_root(hashes) for hashes in tiles if len(hashes) == TILE_WIDTH]
        level += 1
    _write(folder / "checkpoint", sign_checkpoint(Checkpoint(ORIGIN, size, tree.root()), [signer]))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
