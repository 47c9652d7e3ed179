"""The vault in PostgreSQL: keys and records of a stream, written in the same transaction as the entry they belong to.

Nothing here writes on its own but the record of a read: a command's records go out as companions of its append, so
that no certificate exists without its application and no application without its certificate.
"""

import uuid
from collections.abc import Iterable

import asyncpg
import msgspec

from tomoni.database import Pool
from tomoni.eventlog import Statement
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.records import FIELDS, RECORD_TYPES, Field, Record
from tomoni_registry.vault.sealing import WrappedKey, new_key, seal, unseal

_INSERT_KEY = "INSERT INTO vault.data_key (subject, generation, wrapped) VALUES ($1, $2, $3)"
_INSERT_RECORD = "INSERT INTO vault.record (id, subject, field, sealed) VALUES ($1, $2, $3, $4)"
_DESTROY = "DELETE FROM vault.data_key WHERE subject = $1"


class ErasedError(Exception):
    """The stream has no data key: its records were erased, or it never had any."""


class Vault:
    """Seals and opens the records of streams."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def keep(self, subject: str, records: Iterable[Record], *, new: bool) -> tuple[Statement, ...]:
        """Return the statements that write records; a stream that is new, or has lost its key, gets one first.

        A stream loses its key when an old backup is restored and its entries come back from the mirror.
        """
        key = None if new else await self._find_key(subject)
        if key is not None:
            return tuple(_insert(key, subject, record) for record in records)
        key = new_key()
        wrapped = self._keyring.wrap(key, "vault.data_key", subject)
        first = Statement(sql=_INSERT_KEY, args=(subject, wrapped.generation, wrapped.wrapped))
        return (first, *(_insert(key, subject, record) for record in records))

    def destroy(self, subject: str) -> Statement:
        """Return the statement that destroys the key of a stream, and its records with it."""
        return Statement(sql=_DESTROY, args=(subject,))

    async def write(self, subject: str, record: Record) -> None:
        """Write one record now: who reads leaves a trace before anything is shown. Raises ErasedError."""
        key = await self._key(subject)
        statement = _insert(key, subject, record)
        try:
            await self._pool.execute(statement.sql, *statement.args)
        except asyncpg.ForeignKeyViolationError:  # erased since the key was read
            raise ErasedError from None

    async def read(self, subject: str) -> list[Record]:
        """Return the records of a stream by their time; raise ErasedError where it has no key."""
        key = await self._key(subject)
        rows = await self._pool.fetch("SELECT id, field, sealed FROM vault.record WHERE subject = $1", subject)
        return sorted((_open(key, subject, row) for row in rows), key=lambda record: record.at)

    async def _key(self, subject: str) -> bytes:
        key = await self._find_key(subject)
        if key is None:
            raise ErasedError
        return key

    async def _find_key(self, subject: str) -> bytes | None:
        row = await self._pool.fetchrow("SELECT generation, wrapped FROM vault.data_key WHERE subject = $1", subject)
        if row is None:
            return None
        wrapped = WrappedKey(generation=row["generation"], wrapped=row["wrapped"])
        return self._keyring.unwrap(wrapped, "vault.data_key", subject)


def _insert(key: bytes, subject: str, record: Record) -> Statement:
    identity, field = uuid.uuid4(), FIELDS[type(record)]
    sealed = seal(key, msgspec.json.encode(record), "vault.record", subject, field, str(identity))
    return Statement(sql=_INSERT_RECORD, args=(identity, subject, field, sealed))


def _open(key: bytes, subject: str, row: asyncpg.Record) -> Record:
    field: Field = row["field"]
    data = unseal(key, row["sealed"], "vault.record", subject, field, str(row["id"]))
    return msgspec.json.decode(data, type=RECORD_TYPES[field])
