"""Restoring a federation that has lost its database: its own log from a copy, everything else from the towns.

The keys, the settings and the last word lie beside PostgreSQL and are still there. Every hub keeps the bundles of the
federation's own log; so may an auditor. They are believed as far as our own key has signed them. Then who is admitted
is known again, and every town's log comes again by way of the hub, proven anew: relays that are told that nothing of
theirs is held begin at their first entry.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import asyncpg

from tomoni import roles
from tomoni.database import Connection
from tomoni.eventlog import LastWord
from tomoni.eventlog.checkpoints import LATEST
from tomoni.eventlog.recovery import Recovery, RecoveryRefused, TailSource, require_alone
from tomoni.events import Event
from tomoni.events import federation as f
from tomoni.events.jurisdiction import KeyRotated
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.note import Verifier
from tomoni.tlog.succession import Key, keys_for
from tomoni.transport.subjects import EVENTS, HEARTBEATS
from tomoni_federation.admissions.decider import Admission, evolve
from tomoni_federation.own_keys.log_key import open_log_keys
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.schema import prepare
from tomoni_federation.settings import FederationSettings, load_keys

_EMPTY: Final = "SELECT (SELECT size = 0 FROM log.head) AND NOT EXISTS (SELECT 1 FROM mirror.log)"
_LOG: Final = """
INSERT INTO mirror.log (log, state, heartbeat_key, branch_size, branch_root) VALUES ($1, $2, $3, $4, $5)
"""
_KEY: Final = "INSERT INTO mirror.key (log, from_size, log_key, retired) VALUES ($1, $2, $3, $4)"
_CURSOR: Final = "INSERT INTO projection.cursor (projection, version, log) VALUES ($1, $2, $3)"
_CHARTER: Final = """
INSERT INTO projection.charter (network, version, effective_on, pattern, kinds, services, conditions)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_ACCEPT: Final = """
INSERT INTO projection.acceptance (network, member, effective_on, effective_until, version) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (network, member, effective_on) DO UPDATE
SET effective_until = excluded.effective_until, version = excluded.version
"""
_FROM_THE_BEGINNING: Final = "INSERT INTO mirror.courier (stream, created) VALUES ($1, 'before the database was lost')"
"""Intake takes a stream from its first message on where it knew another."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What is known again: entries of the federation's own log, and jurisdictions that it names."""

    size: int
    jurisdictions: int


class _Desk:
    """What the federation's own log says, for the tables that the office writes beside its events."""

    def __init__(self) -> None:
        self.admissions: dict[str, Admission] = {}
        self.keys: dict[str, list[Key]] = {}
        self.branches: dict[str, f.Branch] = {}
        self.charters: list[tuple[object, ...]] = []
        self.members: list[tuple[str, str, date, date | None, int]] = []
        self.log_keys: list[Key] = []
        """Keys of the log itself that its entries name."""

    def see(self, position: int, event: Event) -> None:
        """Take an entry of the log."""
        kind, _, name = event.subject.partition("/")
        if kind == "jurisdiction":
            self.admissions[name] = evolve(self.admissions.get(name, Admission(code=name)), event)
        match event:
            case KeyRotated(data=data):
                self.log_keys.append(Key(position + 1, data.log_key))
            case f.JurisdictionAdmitted(data=data):
                self.keys[name] = [Key(0, data.log_key)]
            case f.JurisdictionReadmitted(data=data):
                readmitted = Key(data.from_size, data.log_key)
                before = [Key(key.from_size, key.log_key, retired=True) for key in self.keys[name]]
                self.keys[name] = [
                    *(key for key in before if (key.from_size, key.log_key) != (data.from_size, data.log_key)),
                    readmitted,
                ]
                if isinstance(data.branch, f.Branch):
                    self.branches[name] = data.branch
            case f.NetworkChartered(data=data) | f.NetworkAmended(data=data):
                lists = list(data.kinds), list(data.services), list(data.conditions)
                self.charters.append((name, data.version, data.effective_on, data.pattern, *lists))
            case f.NetworkMemberAccepted(data=data):
                until = data.effective_until if isinstance(data.effective_until, date) else None
                self.members.append((name, data.member, data.effective_on, until, data.version))
            case _:
                pass

    async def write(self, connection: Connection) -> None:
        """Write the rows."""
        for code, admission in self.admissions.items():
            branch = self.branches.get(code)
            counts = (None, None) if branch is None else (branch.size, bytes.fromhex(branch.root))
            await connection.execute(_LOG, code, admission.state, admission.keys[1], *counts)
            await connection.execute(_CURSOR, PROJECTION, VERSION, code)
        keys = [(code, *_row(key)) for code, of_log in self.keys.items() for key in of_log]
        await connection.executemany(_KEY, keys)
        await connection.executemany(_CHARTER, self.charters)
        await connection.executemany(_ACCEPT, self.members)
        await connection.executemany(_FROM_THE_BEGINNING, [(EVENTS,), (HEARTBEATS,)])


async def restore(
    settings: FederationSettings, owner_dsn: str, source: TailSource, *, last_word_is_lost: bool = False
) -> Restored:
    """Make the database anew and bring back the federation's own log, with the service stopped.

    `last_word_is_lost`: its file is gone with the machine; the newest checkpoint of the copy takes its place. Raises
    RecoveryRefused where the copy is not our log or not all of it, SettingsError where the database is not empty.
    """
    load_keys(settings)
    await roles.create_database(owner_dsn)
    try:
        await prepare(owner_dsn, roles.user_of(settings.database))
    except asyncpg.UndefinedObjectError as error:
        text = "the role that `database` names does not exist: make it, with the password that stands there"
        raise SettingsError(text) from error
    pool = await open_pool(settings.database)
    last_word, desk = LastWord(settings.files.last_word), _Desk()
    try:
        own = await open_log_keys(settings, pool)
        first = await own.named()

        def verifiers(size: int) -> list[Verifier]:
            """Return our own keys that speak for a size: a copy is believed as far as one that we hold has signed."""
            keys = keys_for([*first, *desk.log_keys], size)
            return [Verifier.parse(key.log_key) for key in keys if own.can_sign(key.log_key)]

        async with pool.acquire() as connection, connection.transaction():
            await require_alone(connection, "the service")
            if not await connection.fetchval(_EMPTY):
                raise SettingsError("the database is not empty: only one that was lost is restored")
            recovery = Recovery(connection, settings.origin, last_word, verifiers, desk.see)
            await recovery.take_all(source)
            note = last_word.read()
            signed = recovery.size if note is None else read_checkpoint(note).size
            if signed > recovery.size:
                text = f"the copy has {recovery.size} entries, and {signed} were signed"
                raise RecoveryRefused(f"{text}: look for a newer copy, on each hub and with the auditors")
            await desk.write(connection)
            newest = await connection.fetchrow(LATEST)
            if note is None and last_word_is_lost and newest is not None:
                last_word.swap(None, newest["note"])
    finally:
        await pool.close()
    return Restored(size=recovery.size, jurisdictions=len(desk.admissions))


def _row(key: Key) -> tuple[int, str, bool]:
    return key.from_size, key.log_key, key.retired
