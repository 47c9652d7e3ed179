"""The next key for the hub: made here, accepted by the federation beside the one in force, and then used alone.

transport.seed         the relay connects with it
transport.seed.next    asked for; it takes the other's name once the federation has accepted it
"""

import msgspec

from tomoni import nkey
from tomoni.admission import TransportKeyRequest, sign_transport_key
from tomoni.eventlog import EventReader
from tomoni.eventlog.key_files import LogKeyFiles
from tomoni.secret_files import SecretFileError, read_secret, sync_folder, write_secret
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni_registry.settings import RegistrySettings


async def ask_for_transport_key(settings: RegistrySettings) -> TransportKeyRequest:
    """Make the next transport key, where there is none yet, and return the request for it, which is written too.

    Raises SettingsError where a key or the database cannot be used.
    """
    files = settings.files
    pool = await open_pool(settings.database)
    try:
        if not files.next_transport_seed.exists():
            write_secret(files.next_transport_seed, nkey.generate_seed().encode() + b"\n")
        seeds = [
            read_secret(file).decode("ascii").strip() for file in (files.transport_seed, files.next_transport_seed)
        ]
        keys = LogKeyFiles(files.keys, EventReader(pool))
        signer = keys.signer(await keys.current())
        replaces = nkey.public_nkey(seeds[0])
        request = sign_transport_key(settings.federation, settings.code, signer, replaces, seeds[1])
    except (SecretFileError, nkey.NkeyError, UnicodeDecodeError) as error:
        raise SettingsError(f"keys: {error}") from error
    finally:
        await pool.close()
    files.transport_request.write_bytes(msgspec.json.format(msgspec.json.encode(request)) + b"\n")
    return request


def use_next_transport_key(settings: RegistrySettings) -> None:
    """Let the relay connect with the next key from its next start on; raise SettingsError where none was made."""
    files = settings.files
    try:
        files.next_transport_seed.replace(files.transport_seed)
    except OSError as error:
        raise SettingsError(f"{files.next_transport_seed} cannot be used: {error.strerror}") from error
    sync_folder(files.keys)
