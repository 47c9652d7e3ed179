"""Recovering a node that lost the tail of its log: a restored backup, a cloned machine, a machine that burnt.

The federation has the entries (`tomoni.eventlog.recovery`). Names, reasons and handles never leave a town, so they do
not come back: the certificates that lack them are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tomoni.database import Pool
from tomoni.eventlog import CheckpointStore, EventReader, LastWord
from tomoni.eventlog.errors import BehindLastWord
from tomoni.eventlog.key_files import LogKeyFiles
from tomoni.eventlog.recovery import Recovery, TailSource, require_alone
from tomoni.events import Event
from tomoni.events.jurisdiction import CertificateErased, KeyRotated
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier
from tomoni.tlog.succession import Key, keys_for
from tomoni_registry.settings import RegistrySettings
from tomoni_registry.signing import Signing

_ERASE_AGAIN: Final = "DELETE FROM vault.data_key WHERE subject = ANY($1)"
_HOLDS_NOTHING: Final = """
SELECT w.subject FROM unnest($1::text[]) AS w (subject)
WHERE NOT EXISTS (SELECT 1 FROM vault.data_key k WHERE k.subject = w.subject)
"""
_CERTIFICATE: Final = "certificate/"


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What came back."""

    before: int
    """Entries that the database held."""
    size: int
    """Entries that it holds now."""
    signed: int
    """The largest size known to be signed; while it is more than `size` the node still must not sign."""
    without_application: tuple[str, ...]
    """Certificates of which the vault holds nothing: they were issued in what was lost."""
    without_records: tuple[str, ...]
    """Certificates that changed in what was lost: the vault lacks reasons, handles and who acted of those changes."""


@dataclass
class _Seen:
    """What the entries that came back say of keys and certificates."""

    keys: list[Key]
    lost: list[Verifier]
    """Keys of the log that are in no folder any more, and spoke for it before."""
    touched: set[str] = field(default_factory=set[str])
    erased: set[str] = field(default_factory=set[str])

    def see(self, position: int, event: Event) -> None:
        """Take an entry that came back."""
        if isinstance(event, KeyRotated):
            self.keys.append(Key(position + 1, event.data.log_key))
        if isinstance(event, CertificateErased):
            self.erased.add(event.subject)
        if event.subject.startswith(_CERTIFICATE):
            self.touched.add(event.subject)

    def verifiers(self, size: int) -> list[Verifier]:
        """Return the keys that speak for a size."""
        return [*(Verifier.parse(key.log_key) for key in keys_for(self.keys, size)), *self.lost]


async def recover(
    settings: RegistrySettings,
    source: TailSource,
    *,
    last_word_is_lost: bool = False,
    lost_keys: Sequence[Verifier] = (),
) -> Recovered:
    """Bring the missing tail back, with the node stopped; what is there already is compared and not written again.

    `last_word_is_lost`: its file is gone with the machine, and the newest checkpoint proven takes its place.
    `lost_keys`: verifier keys of the log whose private halves are gone; they prove what comes back, and nothing is
    signed until the node has new keys (`keys.replacing`). Raises RecoveryRefused, SettingsError, and SigningRefused or
    CorruptLog where the database is not what was signed.
    """
    pool = await open_pool(settings.database)
    try:
        keys = LogKeyFiles(settings.files.keys, EventReader(pool))
        seen = _Seen(await keys.named(), list(lost_keys))
        async with pool.acquire() as connection, connection.transaction():
            await require_alone(connection, "the node")
            last_word = LastWord(settings.files.last_word)
            recovery = Recovery(connection, settings.origin, last_word, seen.verifiers, seen.see)
            await recovery.take_all(source)
            await connection.execute(_ERASE_AGAIN, sorted(seen.erased))
            if not lost_keys and not keys.can_sign(seen.keys[-1].log_key):
                raise SettingsError("the key that signs from here on is not in the folder of keys: bring it back")
        if lost_keys:
            signed = recovery.size
        elif last_word_is_lost and last_word.read() is None:
            signed = await _replace_last_word(settings, pool, recovery, seen)
        else:
            signed = await _largest_signed(settings, pool, recovery)
        changed = seen.touched - seen.erased
        bare = {subject for (subject,) in await pool.fetch(_HOLDS_NOTHING, sorted(changed))}
    finally:
        await pool.close()
    return Recovered(
        before=recovery.before,
        size=recovery.size,
        signed=max(signed, recovery.size),
        without_application=_identities(bare),
        without_records=_identities(changed - bare),
    )


async def _largest_signed(settings: RegistrySettings, pool: Pool, recovery: Recovery) -> int:
    """Compare the database as it is now with all that is known to be signed; return the largest size signed."""
    try:
        await Signing(settings, pool).check(recovery.ahead)
    except BehindLastWord as behind:
        return behind.signed
    return recovery.size


async def _replace_last_word(settings: RegistrySettings, pool: Pool, recovery: Recovery, seen: _Seen) -> int:
    """Make the newest checkpoint the last word, unless more than that is known to be signed."""
    ahead = max((_size_of_ours(note, settings.origin, seen) for note in recovery.ahead), default=0)
    newest = await CheckpointStore(pool).latest()
    if newest is None or ahead > recovery.size:
        return ahead
    LastWord(settings.files.last_word).swap(None, newest.note)
    return await _largest_signed(settings, pool, recovery)


def _size_of_ours(note: bytes, origin: str, seen: _Seen) -> int:
    """Return the size that a note of our newest key speaks of, 0 where it is none."""
    try:
        return open_checkpoint(note, origin, [Verifier.parse(seen.keys[-1].log_key)]).size
    except NoteError:
        return 0


def _identities(subjects: set[str]) -> tuple[str, ...]:
    return tuple(sorted(subject.removeprefix(_CERTIFICATE) for subject in subjects))
