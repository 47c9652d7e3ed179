"""`tomoni registry rotate-vault-key`, `destroy-retired-keys` and `erase`: the end of personal data."""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from tomoni import times
from tomoni.database import Pool
from tomoni.secret_files import SecretFileError
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni_cli.progress import progress_bar
from tomoni_cli.supervising import THIS_MACHINE, NodeUrl, TokenFile, command
from tomoni_registry.settings import RegistrySettings, load_settings
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.rotation import Rotated, destroy_retired, rotate
from tomoni_registry.vault.sealing import SealError

Config = Annotated[Path, Parameter(help="Settings file of the node (TOML); TOMONI_… variables prevail.")]


def rotate_vault_key(*, config: Config) -> None:
    """Make a new key-encryption key, wrap every data key under it and retire the old one, while the node runs.

    Broken off at any moment, it goes on when it is run again.
    """
    loaded = load_settings(config)
    with progress_bar() as show:
        rotated = asyncio.run(_rotate(loaded, partial(show, "wrapping data keys")))
    print(f"Generation {rotated.current} wraps every data key; {rotated.rewrapped} were wrapped anew.")  # noqa: T201
    for generation in rotated.retired:
        print(  # noqa: T201  # the command line talks to people
            f"Generation {generation} is retired. It is destroyed once {loaded.vault.retired_key_days} days are over: "
            "then backups of the database from before now show nothing personal any more."
        )


def destroy_retired_keys(*, config: Config) -> None:
    """Destroy the retired keys whose days are over. The node does the same at its start and every day."""
    destroyed = asyncio.run(_destroy(load_settings(config)))
    if not destroyed:
        print("No retired key was destroyed: none is due, or an answer of the last day still needs it.")  # noqa: T201
    for generation in destroyed:
        print(f"Generation {generation} is destroyed. Destroy it in the backups of the keys folder too.")  # noqa: T201


def erase(certificate: uuid.UUID, /, *, token_file: TokenFile, url: NodeUrl = THIS_MACHINE) -> None:
    """Destroy the personal data of a certificate that has ended, for good; its status stays."""
    path = f"/v1/certificates/{certificate}/erase"
    command(url, token_file, path, "read the certificate to learn whether it is erased")
    print("Its personal data is destroyed. Rotate the vault's key, so that backups lose it too.")  # noqa: T201


async def _rotate(loaded: RegistrySettings, progress: Callable[[int, int], None]) -> Rotated:
    async with _opened(loaded) as (pool, keyring):
        return await rotate(pool, keyring, times.day_in_japan(times.now()), progress)


async def _destroy(loaded: RegistrySettings) -> tuple[int, ...]:
    async with _opened(loaded) as (pool, keyring):
        today = times.day_in_japan(times.now())
        return await destroy_retired(pool, keyring, today, loaded.vault.retired_key_days)


@asynccontextmanager
async def _opened(loaded: RegistrySettings) -> AsyncGenerator[tuple[Pool, Keyring], None]:
    """Give database and keys; what is wrong with them is told as the settings' fault."""
    if loaded.files.keys.stat().st_uid != os.geteuid():
        raise SettingsError(f"{loaded.files.keys} is another account's: run this as the node's account")
    pool = await open_pool(loaded.database)
    try:
        yield pool, Keyring(loaded.files.keys)
    except asyncpg.LockNotAvailableError as error:
        raise SettingsError("the keys are being rotated or destroyed right now: try again later") from error
    except SealError as error:
        raise SettingsError("a data key of the vault does not open; no key was retired or destroyed") from error
    except SecretFileError as error:
        raise SettingsError(str(error)) from error
    finally:
        await pool.close()
