"""Nodes, hub and federation under random faults: nothing is lost, doubled or reordered, and no answer lies.

`TOMONI_TEST_EXAMPLES` is how many runs are tried; a few in the suite, hundreds when somebody searches.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.system.machine.clerks import TOWNS, Clerks
from tests.system.machine.town import Town
from tests.system.machine.world import CODES, World
from tomoni.transport import (
    Connection,
    Kind,
    Outgoing,
    events_subject,
    publish_one,
)
from tomoni.transport.subjects import KIND_HEADER, POSITION_HEADER
from tomoni_cli.embedded.postgres import EmbeddedPostgres

EXAMPLES = int(os.environ.get("TOMONI_TEST_EXAMPLES", "6"))
STEPS = 20

NODE_TABLES = st.sampled_from(["log.entry", "log.checkpoint", "log.tile", "vault.record", "relay.receipt"])
INTAKE_TABLES = st.sampled_from(["mirror.entry", "mirror.checkpoint", "mirror.heartbeat", "mirror.log"])
PROJECTED_TABLES = st.sampled_from(["projection.certificate", "projection.position", "projection.cursor"])


class Machine(Clerks):
    """What else may happen: time goes by, and whatever is not a clerk breaks."""

    certificates = Clerks.certificates

    # Time goes by

    @rule(seconds=st.sampled_from([0.02, 0.1, 0.6]))
    def wait(self, seconds):
        self.run(asyncio.sleep(seconds))

    # Processes die

    @rule(code=TOWNS, at_once=st.booleans())
    def kill_relay(self, code, at_once):
        async def go():
            await self.world.towns[code].relay.kill()
            if at_once:
                await self.world.towns[code].relay.start()

        self.run(go())

    @rule(code=TOWNS)
    def start_relay(self, code):
        if self.world.towns[code].relay.it is None:
            self.run(self.world.towns[code].relay.start())

    @rule(target=certificates, code=TOWNS, after=st.sampled_from([0.0, 0.002, 0.005, 0.02]))
    def kill_node_in_a_command(self, code, after):
        if not self._takes_commands(code):
            return multiple()

        async def kill():
            await asyncio.sleep(after)
            await self.world.towns[code].node.kill()
            await self.world.towns[code].node.start()

        async def go():
            issued, _ = await asyncio.gather(self._issue(code), kill())
            return issued

        return self.run(go())

    @rule(at_once=st.booleans())
    def kill_federation(self, at_once):
        async def go():
            await self.world.federation.kill()
            if at_once:
                await self.world.federation.start()

        self.run(go())

    @rule()
    def start_federation(self):
        if self.world.federation.it is None:
            self.run(self.world.federation.start())

    # The hub

    @rule(at_once=st.booleans())
    def kill_hub(self, at_once):
        async def go():
            await self.world.kill_hub()
            if at_once:
                await self.world.start_hub()

        self.run(go())

    @rule()
    def start_hub(self):
        self.run(self.world.start_hub())

    @rule()
    def wipe_hub(self):
        self.run(self.world.wipe_hub())

    @rule()
    def keep_a_copy_of_the_hub(self):
        self.run(self.world.keep_hub())

    @rule()
    def restore_the_hub_from_its_copy(self):
        self.run(self.world.restore_hub())

    # Databases

    @rule(code=st.sampled_from([None, *CODES]), choose=st.sampled_from([1, 2, 3]))
    def cut_connections(self, code, choose):
        self.run(self._database(code).cut(choose))

    def _database(self, code: str | None):
        return self.world.database if code is None else self.world.towns[code].database

    @rule(target=certificates, code=TOWNS, table=NODE_TABLES)
    def node_dies_while_it_writes(self, code, table):
        if not self._takes_commands(code):
            return multiple()

        async def go():
            database = self.world.towns[code].database
            async with database.held(table):
                command = asyncio.create_task(self._issue(code))
                await database.somebody_waits(0.5)
            return await command

        return self.run(go())

    @rule(target=certificates, code=TOWNS, table=INTAKE_TABLES | PROJECTED_TABLES)
    def federation_dies_while_it_writes(self, code, table):
        if not self._takes_commands(code):
            return multiple()

        async def go():
            async with self.world.database.held(table):
                issued = await self._issue(code)
                await self.world.database.somebody_waits(0.5)
                await self.world.check(self.asked)
            return issued

        return self.run(go())

    @rule(code=TOWNS)
    def back_up(self, code):
        if self._takes_commands(code):
            self.run(self.world.towns[code].back_up())

    @rule(code=TOWNS, relay_first=st.booleans())
    def restore_an_old_backup(self, code, relay_first):
        town = self.world.towns[code]
        if not town.is_lost:
            self.run(self._lose(town, relay_first=relay_first))

    async def _lose(self, town: Town, *, relay_first: bool) -> None:
        """Restore a backup once everything has left the town: what nobody else holds would be gone for good."""
        await self.world.settle()
        await town.restore(relay_first=relay_first)

    @rule(code=TOWNS)
    def recover(self, code):
        town = self.world.towns[code]
        if town.is_lost and self.world.federation.it is not None:
            self.run(self.world.recover(town))

    @rule(target=certificates, code=TOWNS, choose=st.sampled_from([None, 1, 2]))
    def rebuild_while_entries_arrive(self, code, choose):
        if not self._takes_commands(code):
            return multiple()

        async def cut():
            if choose is not None:
                await self.world.database.cut(choose)

        async def go():
            issued, *_ = await asyncio.gather(self._issue(code), self.world.rebuild(), cut())
            return issued

        return self.run(go())

    # Who has a town's transport key

    @rule(
        code=TOWNS,
        kind=st.sampled_from(["entry", "checkpoint", None]),
        ahead=st.integers(-2, 3),
        data=st.binary(max_size=60),
    )
    def publish_junk(self, code, kind, ahead, data):
        position = max(0, len(self.world.towns[code].entries) + ahead)
        headers = {} if kind is None else {KIND_HEADER: kind, POSITION_HEADER: str(position)}
        self._publish(code, [Outgoing(data, headers)])

    @rule(code=TOWNS, count=st.integers(1, 4), shift=st.sampled_from([0, 0, 1]))
    def publish_again(self, code, count, shift):
        entries = list(enumerate(self.world.towns[code].entries))[-count:]
        headers = [{KIND_HEADER: Kind.ENTRY.value, POSITION_HEADER: str(position + shift)} for position, _ in entries]
        self._publish(code, [Outgoing(data, each) for (_, data), each in zip(entries, headers, strict=True)])

    def _publish(self, code: str, messages: list[Outgoing]) -> None:
        async def go():
            async with Connection(self.world.hub.node_endpoint(code)) as thief:
                await thief.wait_connected(10)
                for message in messages:
                    await publish_one(thief, events_subject(code), message, None)

        if self.world.hub_is_up:
            self.run(go())

    @invariant()
    def nothing_is_lost_doubled_or_reordered_and_no_answer_lies(self):
        self.run(self.world.check(self.asked))

    def teardown(self):
        self.run(self.world.settle(self.asked))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        yield made


@pytest.fixture
def world(runner: asyncio.Runner, postgres: EmbeddedPostgres) -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="tomoni-machine-"))
    made = World(postgres, folder)
    runner.run(made.make())
    yield made
    runner.run(made.close())
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES > 6 else 240)
def test_whatever_breaks_every_event_arrives_once_in_order_and_no_answer_lies(world, runner):
    Machine.world, Machine.runner = world, runner
    searched = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what time decides does not shrink
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Machine, settings=searched)
    except Exception as error:
        raise (world.failure or error) from None
    runner.run(world.settle(world.documents[-900:]))
