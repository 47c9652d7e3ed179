"""Services as they live: started anew for each case, doing again what failed as each of them does, until it is done.

Each is a function of what can be pickled, so that it runs in a process of its own where that is to be killed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec

from tests.faults import kernel
from tests.federation.towns import FEDERATION, NOW
from tests.registry.conftest import NOON, issue_body
from tomoni.database import Pool, create_pool
from tomoni.eventlog import CheckpointPublisher, EventReader, FixedKeys, LastWord, Sequencer
from tomoni.eventlog.connections import AWAY, BROKEN
from tomoni.eventlog.errors import LogUnavailable, OutcomeUnknown
from tomoni.eventlog.tree import integrate
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import Cosigner
from tomoni.tlog.note import Signer
from tomoni.transport import Connection, Endpoint
from tomoni_federation.admissions.office import Office
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.intake.work import Work
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.projections.project import Projector
from tomoni_federation.rebuild import run
from tomoni_registry.certificates import changes
from tomoni_registry.certificates.bodies import IssueBody, RevokeBody
from tomoni_registry.desk import Decision, Desk, Order
from tomoni_registry.interface import Town
from tomoni_registry.relay.process import Relay
from tomoni_registry.relay.settings import RelaySettings, hub_endpoint
from tomoni_registry.settings import Files, load_rules, load_settings
from tomoni_registry.vault.answers import Answers
from tomoni_registry.vault.keyring import Keyring
from tomoni_registry.vault.sealing import load_key
from tomoni_registry.vault.store import Vault

T = TypeVar("T")

RETRIED = (*AWAY, LogUnavailable, OutcomeUnknown)
"""What a service answers 503 to, and its client sends again."""


async def again(step: Callable[[], Awaitable[T]]) -> T:
    """Do a step until it does not fail for its servers."""
    while True:
        try:
            return await step()
        except RETRIED:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(dsn: str, size: int = 4) -> AsyncIterator[Pool]:
    """Open a pool; where that fails a service ends, and is started again."""
    pool = await again(lambda: create_pool(dsn, max_size=size))
    try:
        yield pool
    finally:
        pool.terminate()


async def append_at_desk(dsn: str, folder: Path, keys: Sequence[UUID]) -> list[bytes]:
    """Open a node's desk and carry out some commands there, each until it is answered; return the answers.

    The rest of what a node does runs in operations of its own, so that the steps are the same each time.
    """
    async with opened(dsn) as pool:
        return await commands(pool, folder, keys)


async def commands(pool: Pool, folder: Path, keys: Sequence[UUID]) -> list[bytes]:
    """Issue certificates at once, one for each key but the last, and then end the first; return the answers."""
    settings = load_settings(Files(folder).settings)
    keyring = Keyring(settings.files.keys)
    async with Sequencer(pool) as sequencer:
        desk = Desk(
            origin=settings.origin,
            pool=pool,
            sequencer=sequencer,
            reader=EventReader(pool),
            vault=Vault(pool, keyring),
            answers=Answers(pool, keyring, load_key(settings.files.mac_key)),
            clock=lambda: NOON,
        )
        town = Town(code=settings.code, rules=load_rules(settings), desk=desk)
        body = msgspec.convert(issue_body(), IssueBody)
        issued = await asyncio.gather(*(_carry_out(desk, key, changes.issue(town, body)) for key in keys[:-1]))
        first = UUID(msgspec.json.decode(issued[0])["certificate"])
        end = msgspec.convert({"effect": "ended", "reason": "dissolution", "effective_on": "2026-11-20"}, RevokeBody)
        return [*issued, await _carry_out(desk, keys[-1], changes.revoke(town, first, end))]


async def _carry_out(desk: Desk, key: UUID, decision: Decision) -> bytes:
    order = Order(command_id=desk.answers.identify(key), who="clerk-1", what="command", fingerprint=b"the same")
    answer = await again(lambda: desk.carry_out(order, decision))
    assert answer.status < 300, answer.body
    return answer.body


async def integrate_all(dsn: str) -> int:
    """Make the tiles of what was appended, and return the size they cover."""
    async with opened(dsn) as pool:
        return await again(lambda: integrate(pool))


async def publish_head(dsn: str, word: Path, origin: str, key: str, heartbeat_key: str) -> bytes:
    """Do what a node's signing does from its start to a heartbeat of the head; return the checkpoint's note."""
    async with opened(dsn) as pool:
        publisher = _publisher(pool, word, origin, key, heartbeat_key)
        await again(publisher.check)
        signed = await again(publisher.publish)
        await again(publisher.heartbeat)
        return signed.note


async def publish_once(dsn: str, word: Path, origin: str, key: str, heartbeat_key: str) -> bytes:
    """Do the same, and nothing again that fails."""
    async with opened(dsn) as pool:
        publisher = _publisher(pool, word, origin, key, heartbeat_key)
        await publisher.check()
        await publisher.heartbeat()
        return (await publisher.publish()).note


def _publisher(pool: Pool, word: Path, origin: str, key: str, heartbeat_key: str) -> CheckpointPublisher:
    return CheckpointPublisher(
        pool, origin, FixedKeys(Signer.parse(key)), Cosigner.parse(heartbeat_key), LastWord(word)
    )


async def killed_at(call: str, work: Callable[[], Coroutine[None, None, object]]) -> None:
    """Do some work in a process that is killed by a call to the kernel."""
    kernel.kill_at(call)
    await work()


async def relay(settings: RelaySettings) -> None:
    """Run a relay for ever."""
    async with opened(settings.database) as pool, Connection(hub_endpoint(settings)) as connection:
        await Relay(settings, pool, connection).run()


def later() -> datetime:
    """Return what the federation's clock says: later than anything that towns say."""
    return NOW + timedelta(hours=1)


async def take_in(dsn: str, endpoint: Endpoint, receipts_key: str) -> None:
    """Run everything of a federation's service that runs beside its answers, for ever."""
    async with opened(dsn, 10) as pool, Sequencer(pool) as sequencer, Connection(endpoint) as connection:
        receiver = Receiver(pool, FEDERATION, Cosigner.parse(receipts_key), clock=later)
        projector = Projector(pool, FEDERATION, clock=later)
        office = Office(pool, sequencer, FEDERATION, clock=later)
        await Work(pool, connection, receiver, projector, office, scrubber=Scrubber(pool, FEDERATION)).run()


async def project(dsn: str) -> None:
    """Project what is behind."""
    async with opened(dsn) as pool:
        projector = Projector(pool, FEDERATION, clock=later)
        await again(projector.catch_up)


async def rebuild(owner_dsn: str) -> bool:
    """Rebuild the read model as an operator does: again where the database was away; return whether it serves."""
    while True:
        try:
            return (await run.rebuild(owner_dsn, FEDERATION)).switched
        except (*BROKEN, SettingsError):
            await asyncio.sleep(0.005)
