"""What a database says of key-encryption keys against what is in the keys folder, and what a restored backup undid."""

from typing import Final

from tomoni.database import Connection, Pool
from tomoni.secret_files import SecretFileError
from tomoni_registry.vault.keyring import Keyring

# The bytes are canonical JSON, in which no text can hold these with bare quotes.
_ERASE_AGAIN = """
    DELETE FROM vault.data_key k USING log.entry e
    WHERE k.subject = e.subject
        AND position(convert_to('"type":"jp.tomoni.certificate.erased.v1"', 'UTF8') IN e.data) > 0
"""
_LONG_SECONDS: Final = 3_600.0
"""For all records of a town at once."""


async def register(connection: Connection | Pool, generation: int) -> None:
    """Let values be wrapped under a generation."""
    await connection.execute(
        "INSERT INTO vault.key_generation (generation) VALUES ($1) ON CONFLICT DO NOTHING", generation
    )


async def require_keys(connection: Connection | Pool, keyring: Keyring) -> set[int]:
    """Return the generations that a database knows.

    Raises SecretFileError where the key of one is missing that was not destroyed: the folder is older than the
    database, or incomplete.
    """
    known = {row["generation"] for row in await connection.fetch("SELECT generation FROM vault.key_generation")}
    if missing := known - keyring.generations("next", "key", "retired", "destroyed"):
        raise SecretFileError(
            f"{keyring.folder} lacks vault-{min(missing)}.key, which the database needs: put back the newest backup of "
            "that folder"
        )
    return known


async def settle(pool: Pool, keyring: Keyring) -> int:
    """Make a database and the keys folder agree before anything is sealed or opened.

    What only a destroyed key would open is deleted: an old backup of the database has brought it back, and a
    certificate that goes on gets a new data key. Returns for how many streams. Raises SecretFileError as `require_keys`
    does.
    """
    known = await require_keys(pool, keyring)
    destroyed = sorted(known & keyring.generations("destroyed"))
    if keyring.current not in known:
        await register(pool, keyring.current)
    if not destroyed:
        return 0
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM vault.answer WHERE generation = ANY ($1)", destroyed)
        gone = await connection.execute(
            "DELETE FROM vault.data_key WHERE generation = ANY ($1)", destroyed, timeout=_LONG_SECONDS
        )
        await connection.execute("DELETE FROM vault.key_generation WHERE generation = ANY ($1)", destroyed)
    return int(gone.removeprefix("DELETE "))


async def erase_again(pool: Pool) -> None:
    """Destroy the data keys of certificates that the log says are erased: an old backup may have brought them back."""
    await pool.execute(_ERASE_AGAIN)
