"""New keys for a log that lost its own, or had them stolen: the history stays, and goes on from a proven size.

The old key cannot sign that it hands over to the new one, so the federation has to readmit the town; the request for it
is made here. From the size on that the federation names the node signs its tree anew with the new key: the checkpoints
of before leave the log, and are kept beside it. Killed at any moment, it is simply run again.
"""

from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from tomoni import nkey, roles
from tomoni.addresses import require_private_database
from tomoni.admission import AdmissionRequest, sign_admission
from tomoni.auth import TokenIssuer
from tomoni.database import Connection, connected
from tomoni.eventlog import LastWord
from tomoni.eventlog.key_files import SUBJECT, held_keys, new_key
from tomoni.eventlog.recovery import require_alone
from tomoni.eventlog.tree import read_leaves
from tomoni.events import decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.key_names import heartbeat_key_name
from tomoni.secret_files import sync_folder, write_secret
from tomoni.tlog.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.merkle import CompactRange
from tomoni_registry.settings import Files, RegistrySettings
from tomoni_registry.vault.keyring import list_keys
from tomoni_registry.vault.sealing import create_key

_HEAD: Final = "SELECT size FROM log.head"
_NEAREST: Final = "SELECT size, nodes FROM log.checkpoint WHERE size <= $1 ORDER BY size DESC LIMIT 1"
_RECEIPT: Final = "SELECT note FROM relay.receipt ORDER BY size DESC LIMIT 1"
_ROTATIONS: Final = "SELECT position, data FROM log.entry WHERE subject = $1 AND position >= $2"
_KEEP: Final = """
INSERT INTO registry.replaced_checkpoint (size, note) SELECT size, note FROM log.checkpoint WHERE size >= $1
"""
_REPLACE: Final = (
    "ALTER TABLE log.checkpoint DISABLE TRIGGER append_only",
    "DELETE FROM log.checkpoint WHERE size >= $1",
    "ALTER TABLE log.checkpoint ENABLE ALWAYS TRIGGER append_only",
)
_SIGN: Final = "INSERT INTO log.checkpoint (size, note, nodes) VALUES ($1, $2, $3)"
_GENERATIONS: Final = "SELECT generation FROM vault.key_generation ORDER BY generation"
_STEP: Final = 100_000


class ReplacementRefused(Exception):  # noqa: N818  # an answer
    """Nothing was written: with the database as it is the log would contradict what is known of it."""


async def replace_keys(
    settings: RegistrySettings, owner_dsn: str, from_size: int, today: date, *, vault_keys_are_lost: bool = False
) -> AdmissionRequest:
    """Make new keys for log, heartbeats and transport, sign from a size on, and return the request for readmission.

    The owner of the database calls it, with the node stopped. `vault_keys_are_lost`: what the vault holds cannot be
    opened by anybody any more; it is given up. Raises ReplacementRefused, and SettingsError where the node runs.
    """
    files = settings.files
    require_private_database(owner_dsn)
    async with connected(owner_dsn, "the owner's string") as connection:
        await require_alone(connection, "the node", roles.user_of(settings.database))
        tree = await _tree(connection, settings, from_size)
        files.keys.mkdir(mode=0o700, exist_ok=True)
        key = new_key(files.keys, settings.origin, from_size)
        key.keep()
        note = sign_checkpoint(Checkpoint(settings.origin, from_size, tree.root()), [key.signer])
        async with connection.transaction():
            await connection.execute(_KEEP, from_size)
            for statement in _REPLACE:
                await connection.execute(statement, *([from_size] if "$1" in statement else []))
            await connection.execute(_SIGN, from_size, note, tree.to_bytes())
        if vault_keys_are_lost:
            await _give_up_vault(connection, files.keys, today)
    last_word = LastWord(files.last_word)
    last_word.swap(last_word.read(), note)
    heartbeat, seed = generate_cosigner(heartbeat_key_name(settings.origin)), nkey.generate_seed()
    _put(files.heartbeat_key, heartbeat.to_text())
    _put(files.transport_seed, seed)
    _make_what_is_missing(files)
    request = sign_admission(settings.federation, settings.code, key.signer, heartbeat, seed)
    files.admission.write_bytes(msgspec.json.format(msgspec.json.encode(request)) + b"\n")
    return request


async def _tree(connection: Connection, settings: RegistrySettings, from_size: int) -> CompactRange:
    """Return the tree at the size to go on from; raise ReplacementRefused where this is not the log that is known."""
    head: int = await connection.fetchval(_HEAD)
    receipt: bytes | None = await connection.fetchval(_RECEIPT)
    for what, note in (("its last word", LastWord(settings.files.last_word).read()), ("a receipt", receipt)):
        if note is None:
            continue
        known = read_checkpoint(note)
        if known.size > head:
            text = f"{known.size} entries were signed, as {what} says, and the database holds {head}"
            raise ReplacementRefused(f"{text}: bring them back first (`tomoni registry recover`)")
        if (await _range_at(connection, known.size)).root() != known.root:
            text = f"up to size {known.size} the entries are not those of {what}"
            raise ReplacementRefused(f"{text}: this database is not the log that the federation knows")
    if from_size > head:
        text = f"the database holds {head} entries, and the log shall go on from {from_size}"
        raise ReplacementRefused(f"{text}: bring them back first (`tomoni registry recover`)")
    await _require_next_keys(connection, settings, from_size)
    return await _range_at(connection, from_size)


async def _require_next_keys(connection: Connection, settings: RegistrySettings, from_size: int) -> None:
    """Raise ReplacementRefused where the log is rotated further on to a key that is lost too: it would end there."""
    rows = await connection.fetch(_ROTATIONS, SUBJECT, from_size)
    held = held_keys(settings.files.keys)
    for row in rows:
        event = decode_event(row["data"])
        if isinstance(event, KeyRotated) and event.data.log_key not in held:
            text = f"the entry at position {row['position']} names a next key that is not in the folder of keys"
            raise ReplacementRefused(f"{text}: bring it back, or agree on a size after it")


async def _range_at(connection: Connection, size: int) -> CompactRange:
    """Return the tree of the entries before a size, grown from the stored checkpoint nearest to it."""
    row = await connection.fetchrow(_NEAREST, size)
    grown = CompactRange() if row is None else CompactRange.from_bytes(row["size"], row["nodes"])
    while grown.size < size:
        grown.extend(await read_leaves(connection, grown.size, min(size, grown.size + _STEP)))
    return grown


async def _give_up_vault(connection: Connection, folder: Path, today: date) -> None:
    """Say of the vault's keys that are missing that they are destroyed, and make the next one.

    The node then deletes at its start what nobody can open.
    """
    held = list_keys(folder)
    known = [row["generation"] for row in await connection.fetch(_GENERATIONS)]
    for generation in known:
        if generation not in held:
            (folder / f"vault-{generation}.destroyed-{today}").touch(0o600)
    if not any(file.state == "key" for file in held.values()):
        create_key(folder / f"vault-{max([0, *known, *held]) + 1}.key")
    sync_folder(folder)


def _make_what_is_missing(files: Files) -> None:
    if not files.mac_key.exists():
        create_key(files.mac_key)
    if not files.token_key.exists():
        TokenIssuer.create(files.token_key)


def _put(path: Path, text: str) -> None:
    """Replace a file of a secret by another, whole."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    write_secret(draft, text.encode() + b"\n")
    draft.replace(path)
    sync_folder(path.parent)
