"""The key of the federation's own log: valid by size, as its own entries say, like a town's."""

import uuid

from tomoni import times
from tomoni.database import Pool
from tomoni.eventlog import Append, EventReader, NewEntry, Sequencer
from tomoni.eventlog.key_files import SUBJECT, LogKeyFiles
from tomoni.events import encode_event
from tomoni.events.jurisdiction import KeyRotated, KeyRotatedData
from tomoni.secret_files import SecretFileError
from tomoni.settings import SettingsError
from tomoni.tlog.note import Verifier
from tomoni_federation.settings import FederationSettings


async def open_log_keys(settings: FederationSettings, pool: Pool) -> LogKeyFiles:
    """Return the keys of the federation's own log; raise SettingsError where one is missing or another federation's."""
    try:
        keys = LogKeyFiles(settings.files.keys, EventReader(pool))
    except SecretFileError as error:
        raise SettingsError(f"keys: {error}") from error
    first, *_ = await keys.named()
    if Verifier.parse(first.log_key).name != settings.origin:
        raise SettingsError("the keys are of another federation than the settings name")
    return keys


async def rotate_log_key(settings: FederationSettings, pool: Pool) -> str:
    """Announce the next key of the federation's own log and return it; a running service goes on with it by itself.

    The checkpoint over the announcement is signed by both keys, so that hubs and auditors follow.
    """
    keys = await open_log_keys(settings, pool)
    version = len(await keys.named())
    new = keys.add(settings.origin)
    data = KeyRotatedData(version=version, log_key=new.vkey)
    event = KeyRotated(
        id=str(uuid.uuid4()), source=settings.origin, subject=SUBJECT, time=times.format_time(times.now()), data=data
    )
    new.keep()
    async with Sequencer(pool) as sequencer:
        entry = NewEntry(encode_event(event), SUBJECT, version)
        await sequencer.append(Append(uuid.uuid4(), (entry,), {SUBJECT: version - 1}))
    return new.vkey
