"""Answers kept for a day: whoever sends a command again with the same Idempotency-Key gets the first answer again.

An answer may hold a handle, so it is sealed. Requests are compared by a MAC under a node key, sealed with the answer: a
hash of names and birth dates could be guessed, and backups would keep it for longer than the answer. After a day both
count no more, whenever they are deleted; the log still knows the key of a command that was carried out, so that a late
repetition is refused and never carried out twice.
"""

import hmac
from datetime import timedelta
from uuid import UUID

import msgspec

from tomoni.database import Pool
from tomoni.eventlog import Statement
from tomoni.events.canonical import encode
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.sealing import WrappedKey, new_key, seal, unseal

KEPT_FOR = timedelta(hours=24)

_FORGET = "DELETE FROM vault.answer WHERE command_id = $1 AND expires_at <= now()"
_FORGET_ABOUT = "DELETE FROM vault.answer a USING log.entry e WHERE e.subject = $1 AND a.command_id = e.command_id"
_INSERT = (
    "INSERT INTO vault.answer (command_id, generation, wrapped, sealed, expires_at) VALUES ($1, $2, $3, $4, now() + $5)"
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command was answered over HTTP."""

    status: int
    media_type: str
    body: bytes
    location: str | None = None

    def __repr__(self) -> str:
        """Return the status alone: the body may hold a handle."""
        return f"Answer(status={self.status})"


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and the fingerprint of the request it was given to."""

    fingerprint: bytes
    answer: Answer


class Answers:
    """Keeps the answers of commands."""

    def __init__(self, pool: Pool, keyring: Keyring, mac_key: bytes) -> None:
        self._pool = pool
        self._keyring = keyring
        self._mac_key = mac_key

    def fingerprint(self, *parts: object) -> bytes:
        """Return the MAC of a request: who sent it, what is asked for, and the body as it was understood."""
        return hmac.digest(self._mac_key, b"tomoni-command-v1\n" + encode(list(parts)), "sha256")

    def identify(self, key: UUID) -> UUID:
        """Return the identity of a command by its Idempotency-Key; the log may name it, since it does not tell the key.

        A client may have made its key of anything, a name included.
        """
        return UUID(bytes=hmac.digest(self._mac_key, b"tomoni-command-id-v1\n" + key.bytes, "sha256")[:16], version=4)

    def keep(self, command_id: UUID, fingerprint: bytes, answer: Answer) -> tuple[Statement, Statement]:
        """Return the statements that keep an answer in the place of one whose day is over.

        Run in one transaction, they fail with a unique violation where the command has an answer that still counts.
        """
        key, place = new_key(), ("vault.answer", str(command_id))
        wrapped = self._keyring.wrap(key, *place)
        kept = KeptAnswer(fingerprint=fingerprint, answer=answer)
        sealed = seal(key, msgspec.json.encode(kept), *place)
        new = (command_id, wrapped.generation, wrapped.wrapped, sealed, KEPT_FOR)
        return Statement(sql=_FORGET, args=(command_id,)), Statement(sql=_INSERT, args=new)

    def forget_about(self, subject: str) -> Statement:
        """Return the statement that deletes what commands on a stream were answered, as far as they were carried out.

        Those answers may show a handle. Refusals stay: they say what was asked for and which rule stood against it.
        """
        return Statement(sql=_FORGET_ABOUT, args=(subject,))

    async def find(self, command_id: UUID) -> KeptAnswer | None:
        """Return the answer of a command, None where there is none or its day is over."""
        row = await self._pool.fetchrow(
            "SELECT generation, wrapped, sealed FROM vault.answer WHERE command_id = $1 AND expires_at > now()",
            command_id,
        )
        if row is None:
            return None
        place = ("vault.answer", str(command_id))
        key = self._keyring.unwrap(WrappedKey(generation=row["generation"], wrapped=row["wrapped"]), *place)
        return msgspec.json.decode(unseal(key, row["sealed"], *place), type=KeptAnswer)

    async def forget_expired(self) -> None:
        """Delete the answers whose day is over."""
        await self._pool.execute("DELETE FROM vault.answer WHERE expires_at <= now()")
