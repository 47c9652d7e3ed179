"""Operations between a node and its federation under fault: relaying, receiving, proving, projecting, rebuilding."""

import functools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg

from tests.faults import lives
from tests.faults.children import Work
from tests.faults.steps import Steps
from tests.faults.table import Case
from tests.faults.whole import require_equal_to_replay, require_whole_log, require_whole_mirror
from tests.federation.conftest import Federation
from tests.federation.towns import FEDERATION, NOW, Town, unknown_event
from tests.relay.nodes import ORIGIN, Mirror, Node
from tests.transport.hubs import SHIBUYA, Hub, node
from tomoni.admission import sign_admission
from tomoni.eventlog import Sequencer
from tomoni.events import decode_event
from tomoni.events.federation import JurisdictionQuarantined
from tomoni.history.status import decide
from tomoni.times import day_in_japan
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.note import read_note
from tomoni.transport import (
    Committed,
    Connection,
    Outgoing,
    events_subject,
    heartbeats_subject,
    last_message,
    publish_batch,
    publish_one,
    receipts_subject,
)
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import EVENTS, KIND_HEADER, POSITION_HEADER, RECEIPTS
from tomoni_federation.admissions.office import Office
from tomoni_federation.status.query import look_up
from tomoni_registry.relay.settings import RelaySettings


class Relaying:
    """A relay that publishes `count` entries and their checkpoint, and brings the receipt home."""

    def __init__(
        self, steps: Steps, node: Node, mirror: Mirror, settings: RelaySettings, federation: Connection, count: int
    ) -> None:
        self.steps, self._node, self._mirror, self._settings = steps, node, mirror, settings
        self._federation, self._count = federation, count
        self._seen: list[bytes] = []
        self._next = 1

    async def prepare(self) -> Case:
        await self._node.append(self._count)
        return Case(functools.partial(lives.relay, self._settings), self._receipted)

    async def _receipted(self) -> bool:
        return await self._node.has_receipt(len(self._node.entries))

    async def check(self) -> None:
        """What is on the hub is the log from its beginning, in order and once."""
        await require_whole_log(self._node.owner, ORIGIN, self._node.signer.verifier)
        await self._look()
        assert self._seen == self._node.entries[: len(self._seen)]

    async def verify(self, result: object) -> None:
        await self.check()
        assert self._seen == self._mirror.proven == self._node.entries

    async def _look(self) -> None:
        """Read what came on the subject since it was read last."""
        while True:
            wanted = json.dumps({"seq": self._next, "next_by_subj": events_subject(SHIBUYA)}).encode()
            answer = await self._federation.request(f"$JS.API.DIRECT.GET.{EVENTS}", wanted)
            if answer.status == "404":
                return
            self._next = int(answer.headers["Nats-Sequence"]) + 1
            if answer.headers[KIND_HEADER] == "entry":
                self._seen.append(answer.data)


class _Mirrored:
    """A town whose log grows by two certificates a case, and the end of the first of those before."""

    def __init__(self, steps: Steps, federation: Federation, owner: asyncpg.Connection) -> None:
        self.steps, self.federation, self.owner = steps, federation, owner
        self.town = Town(SHIBUYA)
        self._running: list[str] = []
        self._ended: list[str] = []
        self._beat = NOW
        federation.now = lives.later()

    def live_on(self) -> None:
        """Let the town end a certificate and issue two."""
        if self._running:
            self._ended.append(self._running.pop(0))
            self.town.revoke(self._ended[-1])
        self._running += [self.town.issue()[0] for _ in range(2)]
        self._beat += timedelta(seconds=1)

    def heartbeat(self) -> RawMessage:
        """Return the heartbeat of now."""
        return self.town.heartbeat(self._beat)

    async def check(self) -> None:
        """What is mirrored is whole and proven, answers are made of all of it, and none is `valid` after its end."""
        mirrored = await self.federation.mirrored(self.town)
        assert mirrored == self.town.entries[: len(mirrored)]
        await require_whole_mirror(self.owner)
        await require_equal_to_replay(self.owner)
        assert await self.federation.state(self.town) == "open"
        position = (await self.federation.cursor(self.town))["position"]
        ended = [one for one in self._ended if self._end(one) < position]
        assert "valid" not in await self._answers(ended)

    def _end(self, certificate: str) -> int:
        """Return the position of the entry that ends a certificate."""
        name = f'"subject":"certificate/{certificate}"'.encode()
        return next(at for at, entry in reversed(list(enumerate(self.town.entries))) if name in entry)

    async def require_done(self) -> None:
        """Require that all is proven, projected and as fresh as the town says."""
        await self.check()
        assert await self.federation.mirrored(self.town) == self.town.entries
        cursor = await self.federation.cursor(self.town)
        assert (cursor["position"], cursor["fresh_as_of"]) == (self.town.size, self._beat)
        assert set(await self._answers(self._ended)) <= {"not-valid"}
        assert set(await self._answers(self._running)) == {"valid"}

    async def is_done(self) -> bool:
        """Tell whether answers are made of all that the town says."""
        cursor = await self.federation.cursor(self.town)
        return (cursor["position"], cursor["fresh_as_of"]) == (self.town.size, self._beat)

    async def _answers(self, certificates: list[str]) -> list[str]:
        keys = [(self.town.code, bytes.fromhex(self.town.documents[one])) for one in certificates]
        day = day_in_japan(lives.later())
        return [
            decide(document, issuer, max_age=timedelta(hours=24), now=lives.later(), on=day).status
            for document, issuer in await look_up(self.federation.pool, keys)
        ]


class TakingIn(_Mirrored):
    """The federation's service: entries are kept before they are acknowledged, then a checkpoint proves them.

    They come alone at first; their checkpoint follows once they are kept, and a heartbeat once they are proven.
    """

    def __init__(self, steps: Steps, federation: Federation, owner: asyncpg.Connection, wire: "Wire") -> None:
        super().__init__(steps, federation, owner)
        self._wire = wire
        self._start = 0
        self._left: list[Callable[[], Awaitable[bool]]] = []

    async def prepare(self) -> Case:
        self._start = self.town.size
        self._left = [self._is_kept, self._is_proven, self._is_receipted]
        self.live_on()
        await self._wire.send([self.town.entry_message(position) for position in range(self._start, self.town.size)])
        return Case(self._wire.work, self._is_done)

    async def _is_done(self) -> bool:
        if self._left and await self._left[0]():
            del self._left[0]
        return not self._left

    async def _is_kept(self) -> bool:
        rows = await self.federation.pool.fetch("SELECT data FROM mirror.provisional ORDER BY position")
        if [row["data"] for row in rows] != self.town.entries[self._start :]:
            return False
        await self._wire.send([self.town.checkpoint_message()])
        return True

    async def _is_proven(self) -> bool:
        proven = "SELECT proven_size FROM mirror.log WHERE log = $1"
        if await self.federation.pool.fetchval(proven, self.town.code) != self.town.size:
            return False
        await self._wire.beat(self.heartbeat())
        return True

    async def _is_receipted(self) -> bool:
        return await self.is_done() and await self._wire.receipt() == self.town.size

    async def verify(self, result: object) -> None:
        await self.require_done()


class Projecting(_Mirrored):
    """Projecting what is proven in the mirror."""

    def __init__(self, steps: Steps, federation: Federation, owner: asyncpg.Connection, dsn: str) -> None:
        super().__init__(steps, federation, owner)
        self._dsn = dsn

    async def prepare(self) -> Case:
        start = self.town.size
        self.live_on()
        self.town.withdraw(self.town.declare("011002"))
        await self.federation.receiver.events(self.town.messages(start))
        await self.federation.receiver.heartbeats([self.heartbeat()])
        return Case(functools.partial(lives.project, self._dsn))

    async def verify(self, result: object) -> None:
        await self.require_done()


class Quarantining:
    """The federation's service on a town that has an illegal entry in its log, or that signs another history too."""

    def __init__(
        self, steps: Steps, federation: Federation, owner: asyncpg.Connection, hub: Hub, work: Work, *, forked: bool
    ) -> None:
        self.steps, self._federation, self._owner = steps, federation, owner
        self._hub, self._work, self._forked = hub, work, forked
        self._codes = iter(hub.codes)
        self._town = Town(SHIBUYA)
        federation.now = lives.later()

    async def prepare(self) -> Case:
        async with Sequencer(self._federation.pool) as sequencer:
            self._town = await self._admitted(Office(self._federation.pool, sequencer, FEDERATION))
        if not self._forked:
            self._town.append(unknown_event(Town("999999"), None))
        self._town.issue()
        await self._federation.receiver.events(self._town.messages())
        if self._forked:
            other = Town(self._town.code, self._town.log_key, self._town.heartbeat_key)
            other.issue()
            async with node(self._hub, other.code) as connection:
                await Wire(connection, self._work, other.code).send([other.checkpoint_message()])
        return Case(self._work, self._is_recorded)

    async def _admitted(self, office: Office) -> Town:
        town = Town(next(self._codes))
        seed = self._hub.seeds[town.code]
        await office.admit(sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, seed))
        return town

    async def _is_recorded(self) -> bool:
        recorded = "SELECT count(*) FROM mirror.evidence WHERE log = $1 AND recorded"
        return await self._owner.fetchval(recorded, self._town.code) == 1

    async def check(self) -> None:
        await require_whole_mirror(self._owner)

    async def verify(self, result: object) -> None:
        """The town is closed, and the federation's own log says so once."""
        await self.check()
        assert await self._federation.state(self._town) == "quarantined"
        log = [decode_event(row["data"]) for row in await self._owner.fetch("SELECT data FROM log.entry")]
        told = Counter(event.subject for event in log if isinstance(event, JurisdictionQuarantined))
        assert told[f"jurisdiction/{self._town.code}"] == 1
        assert set(told.values()) == {1}


class Rebuilding(_Mirrored):
    """Making the read model anew and letting it serve, by the owner."""

    def __init__(self, steps: Steps, federation: Federation, owner: asyncpg.Connection, dsn: str) -> None:
        super().__init__(steps, federation, owner)
        self._dsn = dsn

    async def prepare(self) -> Case:
        await self.owner.execute("DROP SCHEMA IF EXISTS projection_next CASCADE")
        if self.town.size == 0:
            for _ in range(3):
                self.live_on()
            await self.federation.take(*self.town.messages(), heartbeats=[self.heartbeat()])
        return Case(functools.partial(lives.rebuild, self._dsn))

    async def verify(self, result: object) -> None:
        assert result in (None, True)
        await self.require_done()


class Wire:
    """The town's end of the hub, and the service at the federation's end."""

    def __init__(self, node: Connection, work: Work, code: str = SHIBUYA) -> None:
        self._node, self.work, self._subject = node, work, events_subject(code)
        self._sequence = 0

    async def send(self, messages: list[RawMessage]) -> None:
        outgoing = [
            Outgoing(one.data, {KIND_HEADER: str(one.kind), POSITION_HEADER: str(one.position)}) for one in messages
        ]
        outcome = await publish_batch(self._node, self._subject, outgoing, self._sequence)
        assert isinstance(outcome, Committed)
        self._sequence = outcome.sequence

    async def beat(self, heartbeat: RawMessage) -> None:
        outcome = await publish_one(self._node, heartbeats_subject(SHIBUYA), Outgoing(heartbeat.data, {}), None)
        assert isinstance(outcome, Committed)

    async def receipt(self) -> int:
        """Return the size of the newest receipt on the hub."""
        found = await last_message(self._node, RECEIPTS, receipts_subject(SHIBUYA))
        return 0 if found is None else parse_checkpoint(read_note(found.data).text).size
