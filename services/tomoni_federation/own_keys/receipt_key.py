"""The key for receipts: the newest that the federation's own log names signs, and receipts tell how it came to that.

receipts.key       the first
receipts-2.key     the second, which the first rotation names; the private half of the one before is gone then
"""

import uuid
from pathlib import Path
from typing import Final

from tomoni import times
from tomoni.database import Pool
from tomoni.eventlog import Append, EventReader, NewEntry, Sequencer
from tomoni.eventlog.recovery import require_alone
from tomoni.events import decode_event, encode_event
from tomoni.events.federation import ReceiptKeyRotated, ReceiptKeyRotatedData
from tomoni.key_names import receipt_key_name
from tomoni.receipt_keys import Rotation, rotation_of, sign_rotation
from tomoni.secret_files import SecretFileError, read_secret, sync_folder, write_secret
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni.tlog.keys import NoteError
from tomoni_federation.settings import FederationSettings

SUBJECT: Final = "receipt-key"


async def read_rotations(pool: Pool) -> list[Rotation]:
    """Return the rotations of the key for receipts that the federation's own log records, oldest first."""
    events = [decode_event(entry.data) for entry in await EventReader(pool).stream(SUBJECT)]
    return [rotation_of(event) for event in events if isinstance(event, ReceiptKeyRotated)]


def open_cosigner(settings: FederationSettings, rotations: list[Rotation]) -> Cosigner:
    """Return the key that signs receipts; raise SettingsError where it is not in the folder of keys."""
    path = _file(settings, len(rotations) + 1)
    key = _load(path)
    if key.name != receipt_key_name(settings.federation):
        raise SettingsError("the keys are of another federation than the settings name")
    if rotations and key.vkey != rotations[-1].receipt_key:
        raise SettingsError(f"{path} is not the key for receipts that the federation's log names: bring that one back")
    return key


async def rotate_receipt_key(settings: FederationSettings, pool: Pool) -> str:
    """Make the next key for receipts, record it signed by both, destroy the private half before, and return it.

    With the service stopped, so that no receipt of the key before is later than its end. Killed at any moment, it is
    run again. Raises SettingsError where the service runs.
    """
    async with pool.acquire() as connection:
        await require_alone(connection, "the service")
    rotations = await read_rotations(pool)
    replaced = open_cosigner(settings, rotations)
    version = len(rotations) + 1
    path = _file(settings, version + 1)
    if not path.exists():  # a rotation that was killed has made one, which nobody knows
        write_secret(path, generate_cosigner(replaced.name).to_text().encode() + b"\n")
    rotation = sign_rotation(settings.federation, replaced, _load(path), times.format_time(times.now()))
    data = ReceiptKeyRotatedData(
        version=version, receipt_key=rotation.receipt_key, replaces=rotation.replaces, proofs=rotation.proofs
    )
    event = ReceiptKeyRotated(
        id=str(uuid.uuid4()), source=settings.origin, subject=SUBJECT, time=rotation.time, data=data
    )
    async with Sequencer(pool) as sequencer:
        entry = NewEntry(encode_event(event), SUBJECT, version)
        await sequencer.append(Append(uuid.uuid4(), (entry,), {SUBJECT: version - 1}))
    for number in range(1, version + 1):
        _file(settings, number).unlink(missing_ok=True)
    sync_folder(settings.files.keys)
    return rotation.receipt_key


def _file(settings: FederationSettings, number: int) -> Path:
    return settings.files.receipts_key if number == 1 else settings.files.keys / f"receipts-{number}.key"


def _load(path: Path) -> Cosigner:
    try:
        return Cosigner.parse(read_secret(path).decode("ascii").strip())
    except (SecretFileError, NoteError, UnicodeDecodeError) as error:
        text = str(error) if isinstance(error, SecretFileError) else f"{path} holds no key for receipts"
        raise SettingsError(f"keys: {text}") from error
