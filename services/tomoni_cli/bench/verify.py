"""Row `verify`: verifying a whole log, against a bare loop of SHA-256 over its leaves and nodes.

The log is written and read in portions, so that a log of any size needs no more memory than the hashes of its leaves.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hashes
from tomoni.tlog.note import Signer, generate_signer
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, Tile, encode_bundle, tile_root, tile_width
from tomoni_auditor.verify.sources import open_source
from tomoni_auditor.verify.verification import verify_log
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import issued_entry

ORIGIN: Final = "bench.example/131130"
PORTION: Final = 256 * TILE_WIDTH
"""Entries in memory at once."""


async def run(folder: Path, entries: int) -> list[Row]:
    """Write a log of so many entries to files, then verify it as `tomoni log verify` does."""
    signer = generate_signer(ORIGIN)
    _write_log(folder, entries, signer)

    async def ours() -> float:
        started = time.perf_counter()
        with open_source(str(folder), None) as source:
            verify_log(source, [signer.verifier], ORIGIN)
        return entries / (time.perf_counter() - started)

    async def limit() -> float:
        return entries / _bare_loop(entries)

    return [await compare("verify a log", ours, limit, reach=0.5, unit="entries/s")]


def _bare_loop(size: int) -> float:
    """Hash every leaf and every node once, and do nothing else: no verification can be faster. Return the seconds."""
    sha256 = hashlib.sha256
    row: list[bytes] = []
    seconds = 0.0
    for entries in _portions(size):
        started = time.perf_counter()
        row += [sha256(b"\x00" + entry).digest() for entry in entries]
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    return seconds + time.perf_counter() - started


def _portions(size: int) -> Iterator[list[bytes]]:
    """Yield so many entries of the size of an issue, which differ in the event's identity: nobody reads them here."""
    before, _, after = issued_entry("131130", 0).partition(b'"id":"')
    before, after = before + b'"id":"', after[8:]
    for start in range(0, size, PORTION):
        yield [b"%s%08x%s" % (before, number, after) for number in range(start, min(size, start + PORTION))]


def _write_log(folder: Path, size: int, signer: Signer) -> None:
    tree = CompactRange()
    row: list[bytes] = []
    for entries in _portions(size):
        leaves = leaf_hashes(entries)
        tree.extend(leaves)
        row += leaves
        first = (len(row) - len(leaves)) // TILE_WIDTH
        for number, start in enumerate(range(0, len(entries), TILE_WIDTH), first):
            bundle = EntryBundle(number, tile_width(0, number, size))
            _write(folder / bundle.path, encode_bundle(entries[start : start + bundle.width]))
    level = 0
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
