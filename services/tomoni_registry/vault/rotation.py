"""The life of key-encryption keys: a new one takes over, the old one is retired, and destroyed after some time.

Who erases a certificate destroys its data key in the database. Old rows, the WAL and backups still hold that key,
wrapped: they are worthless once the key that wrapped it is destroyed too. So all data keys that remain are wrapped
anew, and the old key-encryption key ends, with everything that only it opened. Every step can be broken off and taken
up again; at no time is a key in the database whose key-encryption key is not on the disk.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import asyncpg
import structlog

from tomoni.database import Pool, PoolConnection
from tomoni_registry.vault.generations import register, require_keys
from tomoni_registry.vault.keyring import KeyFile, Keyring, list_keys, make_next
from tomoni_registry.vault.sealing import WrappedKey

BATCH: Final = 1_000
"""Data keys of one transaction: some 20 ms in which an erasure of one of them has to wait."""

WAIT_SECONDS: Final = 0.1

_ONE_AT_A_TIME: Final = 0x7661756C74  # "vault"

# Keys are rewrapped in the order of their streams, so that a run looks at each once. A key that an erasure is about to
# destroy is passed over: waiting for it while holding others could make a deadlock.
_PORTION = """
    SELECT subject, generation, wrapped FROM vault.data_key WHERE subject > $1 AND generation < $2
    ORDER BY subject LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""
_REWRAP = """
    UPDATE vault.data_key AS old SET generation = $1, wrapped = new.wrapped
    FROM unnest($2::text[], $3::bytea[]) AS new (subject, wrapped) WHERE old.subject = new.subject
"""

Progress = Callable[[int, int], None]
"""Called with the data keys wrapped anew so far, and how many there were to do."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """What a rotation did: the generation in use, the data keys wrapped anew, and the generations retired."""

    current: int
    rewrapped: int
    retired: tuple[int, ...]


async def rotate(pool: Pool, keyring: Keyring, today: date, progress: Progress) -> Rotated:
    """Make the next key-encryption key, wrap every data key under it and retire the others; finish one broken off.

    Raises SealError where a data key does not open (nothing is retired then), SecretFileError where a file is wrong.
    """
    async with _alone(pool) as connection:
        await require_keys(connection, keyring)
        await _take_over(connection, keyring.folder, today)
        current = keyring.current
        rewrapped = await _rewrap_all(connection, keyring, current, progress)
        old = [file for file in list_keys(keyring.folder).values() if file.state == "key" and file.generation < current]
        for file in old:
            await asyncio.to_thread(file.become, "retired", today)
        return Rotated(current=current, rewrapped=rewrapped, retired=tuple(file.generation for file in old))


async def destroy_retired(pool: Pool, keyring: Keyring, today: date, after_days: int) -> tuple[int, ...]:
    """Destroy the keys that were retired more than `after_days` days ago and return their generations.

    One that still wraps something stays until the next time. Raises SealError and SecretFileError as `rotate` does.
    """
    files = list_keys(keyring.folder).values()
    for file in files:
        if file.state == "destroyed" and file.path.stat().st_size:  # broken off in between
            await asyncio.to_thread(file.overwrite)
    due = [
        file
        for file in files
        if file.state == "retired" and file.since is not None and (today - file.since).days > after_days
    ]
    if not due:
        return ()
    async with _alone(pool) as connection:
        await _rewrap_all(connection, keyring, keyring.current, lambda _, __: None)
        await connection.execute("DELETE FROM vault.answer WHERE expires_at <= now()")
        return tuple([file.generation for file in due if await _destroy(connection, file, today)])


async def _take_over(connection: PoolConnection, folder: Path, today: date) -> None:
    """Put the next key into use, unless one that took over already was broken off before the old one was retired."""
    files = list_keys(folder)
    if sum(file.state == "key" for file in files.values()) > 1:
        return
    made = next((file for file in files.values() if file.state == "next"), None)
    made = made or await asyncio.to_thread(make_next, folder, max(files) + 1)
    await register(connection, made.generation)  # before it has its name: who sees that name may wrap under it
    await asyncio.to_thread(made.become, "key", today)


async def _rewrap_all(connection: PoolConnection, keyring: Keyring, current: int, progress: Progress) -> int:
    """Wrap every data key under the current generation and return how many were not."""
    waiting = "SELECT count(*) FROM vault.data_key WHERE generation < $1"
    total, done = await connection.fetchval(waiting, current), 0
    while await connection.fetchval(waiting, current):
        after, before = "", done
        while portion := await _rewrap_portion(connection, keyring, current, after):
            after, done = portion[-1], done + len(portion)
            progress(done, max(total, done))
        if done == before:
            await asyncio.sleep(WAIT_SECONDS)  # what is left is being erased
    return done


async def _rewrap_portion(connection: PoolConnection, keyring: Keyring, current: int, after: str) -> list[str]:
    async with connection.transaction():
        rows = await connection.fetch(_PORTION, after, current, BATCH)
        subjects = [row["subject"] for row in rows]
        wrapped: list[bytes] = []
        for row in rows:
            place = ("vault.data_key", row["subject"])
            key = keyring.unwrap(WrappedKey(generation=row["generation"], wrapped=row["wrapped"]), *place)
            wrapped.append(keyring.wrap_under(current, key, *place))
        await connection.execute(_REWRAP, current, subjects, wrapped)
    return subjects


async def _destroy(connection: PoolConnection, file: KeyFile, today: date) -> bool:
    """Destroy a key whose generation the database lets go of, and say whether it did."""
    try:
        await connection.execute("DELETE FROM vault.key_generation WHERE generation = $1", file.generation)
    except asyncpg.ForeignKeyViolationError:
        log.warning("vault_key_still_in_use", count=file.generation)
        return False
    destroyed = await asyncio.to_thread(file.become, "destroyed", today)
    await asyncio.to_thread(destroyed.overwrite)
    return True


@asynccontextmanager
async def _alone(pool: Pool) -> AsyncGenerator[PoolConnection, None]:
    """Give a connection on which nobody else rotates or destroys keys of this database."""
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _ONE_AT_A_TIME)
        try:
            yield connection
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _ONE_AT_A_TIME)
