"""Each step of each operation × lost, persisted but reported failed, crash: what was promised is there, and once.

`docs/faults.md` has the whole table.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tests.faults import lives
from tests.faults.at_node import Appending, Integrating, Publishing
from tests.faults.between import Projecting, Quarantining, Rebuilding, Relaying, TakingIn, Wire
from tests.faults.children import Work
from tests.faults.conftest import Postgres
from tests.faults.steps import Fault, Step, StepProxy, Steps
from tests.faults.table import strike_each_step
from tests.faults.wires import NatsWire
from tests.federation.conftest import Federation
from tests.registry.conftest import Node as Town
from tests.relay.nodes import mirroring, opened
from tests.transport.hubs import Hub, node
from tests.transport.hubs import federation as federation_at
from tomoni.database import Pool, create_pool
from tomoni.eventlog import Sequencer
from tomoni.jurisdictions import all_jurisdictions
from tomoni_cli.embedded.postgres import EmbeddedDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FAULTS = pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)


@FAULTS
async def test_a_command_is_carried_out_once_whatever_step_of_it_is_struck(
    steps: Steps, struck: Postgres, town: Town, fault: Fault
) -> None:
    pool = await create_pool(town.owner_dsn)
    appending = Appending(steps, pool, town.files.folder, struck.dsn(town.settings.database))
    done = await strike_each_step(appending, fault)
    await pool.close()
    require(done, "COMMIT after INSERT INTO vault.answer")


@FAULTS
async def test_tiles_are_those_of_the_entries_whatever_step_of_integrating_is_struck(
    steps: Steps, struck: Postgres, log_database: EmbeddedDatabase, log_pool: Pool, sequencer: Sequencer, fault: Fault
) -> None:
    integrating = Integrating(steps, log_pool, sequencer, struck.dsn(log_database.runner_dsn))
    require(await strike_each_step(integrating, fault), "COMMIT after UPDATE log.tree")


@FAULTS
async def test_no_two_checkpoints_contradict_each_other_whatever_step_of_publishing_is_struck(
    steps: Steps,
    struck: Postgres,
    log_database: EmbeddedDatabase,
    log_pool: Pool,
    sequencer: Sequencer,
    tmp_path: Path,
    fault: Fault,
) -> None:
    dsn = struck.dsn(log_database.runner_dsn)
    publishing = Publishing(steps, log_pool, sequencer, dsn, tmp_path / "last-word")
    require(await strike_each_step(publishing, fault), "WITH moved", "INSERT INTO log.heartbeat")


@pytest.mark.parametrize(
    ("count", "only"), [(2, ("HPUB registry events",)), (6, ("",))], ids=["message by message", "a batch"]
)
@FAULTS
async def test_the_hub_has_a_log_once_and_in_order_whatever_step_of_its_relay_is_struck(
    steps: Steps,
    struck: Postgres,
    database: EmbeddedDatabase,
    hub: Hub,
    struck_hub: str,
    fault: Fault,
    count: int,
    only: tuple[str, ...],
) -> None:
    async with opened(database) as town, mirroring(hub, town) as mirror, federation_at(hub) as connection:
        settings = town.settings(hub, struck_hub)
        settings = msgspec.structs.replace(settings, database=struck.dsn(settings.database))
        relaying = Relaying(steps, town, mirror, settings, connection, count)
        require(await strike_each_step(relaying, fault, only), "HPUB registry events")


@FAULTS
async def test_a_log_is_proven_and_its_node_is_told_whatever_step_of_taking_it_in_is_struck(
    steps: Steps,
    struck: Postgres,
    federation: Federation,
    owner: asyncpg.Connection,
    hub: Hub,
    struck_hub: str,
    fault: Fault,
) -> None:
    async with node(hub) as connection:
        wire = Wire(connection, taking_in(struck, federation, hub, struck_hub))
        taking = TakingIn(steps, federation, owner, wire)
        await federation.admit(taking.town)
        done = await strike_each_step(taking, fault)
    require(
        done,
        "COMMIT after INSERT INTO mirror.provisional",
        "COMMIT after DELETE FROM mirror.provisional",
        "PUB $JS ACK EVENTS",
        "HPUB registry receipts",
    )


def taking_in(struck: Postgres, federation: Federation, hub: Hub, url: str) -> Work:
    dsn = struck.dsn(federation.runner_dsn)
    return functools.partial(lives.take_in, dsn, hub.federation_endpoint(url), federation.cosigner.to_text())


@pytest.mark.parametrize("forked", [False, True], ids=["an illegal entry", "a fork"])
@FAULTS
async def test_whoever_contradicts_itself_is_quarantined_whatever_is_struck_when_it_is_found(
    steps: Steps,
    struck: Postgres,
    federation: Federation,
    owner: asyncpg.Connection,
    tmp_path: Path,
    fault: Fault,
    *,
    forked: bool,
) -> None:
    codes = [one.code for one in all_jurisdictions()][:30]
    async with Hub(tmp_path / "hub", codes) as hub, StepProxy(hub.port, NatsWire, steps) as proxy:
        work = taking_in(struck, federation, hub, f"nats://127.0.0.1:{proxy.port}")
        quarantining = Quarantining(steps, federation, owner, hub, work, forked=forked)
        done = await strike_each_step(quarantining, fault, ("COMMIT", "PUB $JS ACK"))
    require(done, "COMMIT after UPDATE mirror.log", "COMMIT after UPDATE mirror.evidence")


@FAULTS
async def test_live_state_equals_replay_whatever_step_of_projecting_is_struck(
    steps: Steps, struck: Postgres, federation: Federation, owner: asyncpg.Connection, fault: Fault
) -> None:
    projecting = Projecting(steps, federation, owner, struck.dsn(federation.runner_dsn))
    await federation.admit(projecting.town)
    require(await strike_each_step(projecting, fault), "COMMIT after SELECT log FROM watch.issuer")


@FAULTS
async def test_what_serves_is_whole_whatever_step_of_rebuilding_is_struck(
    steps: Steps, struck: Postgres, federation: Federation, owner: asyncpg.Connection, fault: Fault
) -> None:
    rebuilding = Rebuilding(steps, federation, owner, struck.dsn(federation.owner_dsn))
    await federation.admit(rebuilding.town)
    require(await strike_each_step(rebuilding, fault), "COMMIT after ALTER SCHEMA")


def require(struck: Sequence[Step], *names: str) -> None:
    """Require that steps of these names, or beginnings of names, are among those that were struck."""
    for name in names:
        assert any(step.name.startswith(name) for step in struck), (name, struck)
