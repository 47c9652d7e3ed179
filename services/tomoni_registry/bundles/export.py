"""Exporting a bundle: the portions that the relay would publish after a size, written to a file.

It only reads, so the node and its relay go on beside it. What is not under a signed checkpoint yet is left for the next
bundle.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tomoni.bundle import BundleError, BundleWriter
from tomoni.database import Pool
from tomoni.eventlog import EventReader
from tomoni.eventlog.errors import CorruptLog
from tomoni.eventlog.key_files import LogKeyFiles
from tomoni.secret_files import written_secretly
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni.tlog.merkle import CompactRange
from tomoni_registry.relay.source import Progress, Source
from tomoni_registry.settings import RegistrySettings

_RECEIPTED: Final = "SELECT coalesce(max(size), 0) FROM relay.receipt"
_SIGNED: Final = "SELECT coalesce(max(size), 0) FROM log.checkpoint"
_BEFORE: Final = """
SELECT size, note, nodes FROM log.checkpoint WHERE size <= $1 AND size > 0 ORDER BY size DESC LIMIT 1
"""
_HEARTBEAT: Final = "SELECT time, note FROM log.heartbeat"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What a bundle holds: the entries from `start` up to `size`, and as of when the town says that these are all."""

    start: int
    size: int
    as_of: datetime | None


async def export_bundle(settings: RegistrySettings, file: Path, since: int | None) -> Exported:
    """Write what follows a size (None: what the federation has given the newest receipt for) into a new file.

    It begins at the nearest checkpoint at or before that size. Raises FileExistsError and other OSErrors, SettingsError
    where so much was never signed, SecretFileError where a key is missing, CorruptLog where the database does not hold
    what was signed.
    """
    async with await open_pool(settings.database) as pool:
        try:
            return await _export(pool, settings, file, since)
        except BundleError as error:
            raise CorruptLog(f"the database does not hold what was signed ({error})") from error


async def _export(pool: Pool, settings: RegistrySettings, file: Path, since: int | None) -> Exported:
    keys = LogKeyFiles(settings.files.keys, EventReader(pool))
    source = Source(pool, settings.origin)
    beat = await pool.fetchrow(_HEARTBEAT)  # first: it speaks of no more than what is then signed
    signed: int = await pool.fetchval(_SIGNED)
    asked: int = await pool.fetchval(_RECEIPTED) if since is None else since
    if asked > signed:
        raise SettingsError(f"the log has {signed} signed entries, and not {asked}")
    before = await pool.fetchrow(_BEFORE, asked)
    tree = CompactRange() if before is None else CompactRange.from_bytes(before["size"], before["nodes"])
    with written_secretly(file) as opened:
        writer = BundleWriter(opened, settings.origin, tree, None if before is None else before["note"])
        while writer.size < signed:
            portion = await source.next_portion(Progress(writer.size, sealed=True, sequence=0))
            if portion is None:
                raise CorruptLog(f"no checkpoint follows that of size {writer.size}")
            *entries, note = (message.data for message in portion.messages)
            writer.portion(entries, note)
        writer.finish(None if beat is None else beat["note"], await keys.signers(tree.size, writer.size))
    as_of = None if beat is None else datetime.fromtimestamp(beat["time"], UTC)
    return Exported(start=tree.size, size=writer.size, as_of=as_of)
