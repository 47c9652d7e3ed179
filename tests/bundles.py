"""Bundles of towns that exist in tests only, as a node would export them."""

from pathlib import Path

from tests.federation.towns import Town
from tomoni.bundle import BundleWriter
from tomoni.tlog.merkle import CompactRange, leaf_hash


def carry(town: Town, file: Path, start=0, size=None, *, step=3, notes=None, heartbeat=None, signers=None) -> Path:
    """Write a town's entries after a size, with a checkpoint every few of them; `notes` has some by their size."""
    size = town.size if size is None else size
    notes = notes or {}
    before = CompactRange()
    before.extend(leaf_hash(entry) for entry in town.entries[:start])
    with file.open("wb") as opened:
        first = (notes.get(start) or town.note(start)) if start else None
        writer = BundleWriter(opened, town.origin, before, first)
        while writer.size < size:
            end = min(writer.size + step, size)
            writer.portion(town.entries[writer.size : end], notes.get(end) or town.note(end))
        writer.finish(heartbeat, signers or [town.log_key])
    return file
