"""The secretariat's desk: decides on the federation's own log, and changes what intake accepts in the same commit.

Idempotent by state: a command that has taken effect already changes nothing and is answered the same, so whoever is
unsure whether it landed sends it again.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime

import structlog
from msgspec import UnsetType

from tomoni import times
from tomoni.admission import AdmissionError, AdmissionRequest, TransportKeyRequest, verify_transport_key
from tomoni.database import Pool
from tomoni.eventlog import Append, EventReader, NewEntry, Sequencer, Statement
from tomoni.eventlog.errors import VersionConflict
from tomoni.events import FederationEvent, decode_event, encode_event
from tomoni.events.federation import Branch, NetworkTermsData
from tomoni.tlog.merkle import CompactRange
from tomoni_federation.admissions import decider
from tomoni_federation.admissions.decider import Admission, BranchIs, IllegalEntry, Network, Refused, Stamp
from tomoni_federation.mirror import tree
from tomoni_federation.mirror.evidence_files import signed_in_evidence
from tomoni_federation.mirror.tree import SUBJECT, MirrorGapError
from tomoni_federation.projections.sql import PROJECTION, VERSION

log = structlog.get_logger()

ATTEMPTS = 5

_ADMIT = (
    "INSERT INTO mirror.log (log, state, heartbeat_key) VALUES ($1, 'open', $2)",
    "INSERT INTO mirror.key (log, from_size, log_key) VALUES ($1, 0, $2)",
    "INSERT INTO projection.cursor (projection, version, log) VALUES ($1, $2, $3)",
)
_TAKE_BACK = "UPDATE mirror.log SET taken_back_at = $3 WHERE log = $1 AND proven_size > $2"
_AFFECT = f"""
INSERT INTO mirror.affected (log, certificate, since)
SELECT DISTINCT $1::text, substring(subject FROM 13)::uuid, $3::timestamptz FROM (
    SELECT {SUBJECT} AS subject FROM mirror.entry WHERE log = $1 AND position >= $2
    UNION SELECT {SUBJECT} FROM mirror.damaged WHERE log = $1 AND position >= $2
    UNION SELECT subject FROM projection.position WHERE log = $1 AND position >= $2
) AS touched WHERE subject ~ '^certificate/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
ON CONFLICT (log, certificate) DO UPDATE SET since = excluded.since
"""  # noqa: S608  # our own text
"""Also by what was set aside as damaged, and by what was projected of entries whose bytes are gone since."""
_DISOWN = "SELECT mirror.disown($1, $2, $3)"
_RECEIPT = "SELECT max(size) FROM mirror.checkpoint WHERE log = $1 AND size <= $2 AND receipt IS NOT NULL"
_ILLEGAL_ENTRY = """
SELECT e.position, coalesce((
    SELECT max(k.size) FROM mirror.checkpoint k
    WHERE k.log = e.log AND k.size <= e.position AND k.receipt IS NOT NULL), 0) AS receipt
FROM projection.cursor c
JOIN mirror.entry e ON e.log = c.log AND e.position = c.position
WHERE c.projection = $1 AND c.version = $2 AND c.log = $3 AND EXISTS (
    SELECT 1 FROM mirror.evidence v WHERE v.log = c.log AND v.position = e.position AND v.leaf = e.leaf)
"""
"""By its bytes: evidence is kept for ever, and the town may have written another entry in its place."""
_GAP = "The mirror lacks entries before that size. Name a smaller one, or restore them."
_REOPEN = """
UPDATE mirror.log SET state = 'open', heartbeat_key = $2, branch_size = $3, branch_root = $4 WHERE log = $1
"""
_ACCIDENT_IS_OVER = "DELETE FROM mirror.shrunk WHERE log = $1"
_FORGET = "SELECT projection.forget_beyond($1, $2)"
_RETIRE = "UPDATE mirror.key SET retired = true WHERE log = $1"
_NEXT_KEY = """
INSERT INTO mirror.key (log, from_size, log_key) VALUES ($1, $2, $3)
ON CONFLICT (log, from_size, log_key) DO UPDATE SET retired = false
"""
_LOG_KEY = "SELECT log_key FROM mirror.key WHERE log = $1 AND NOT retired ORDER BY from_size DESC LIMIT 1"
_CHARTER = """
INSERT INTO projection.charter (network, version, effective_on, pattern, kinds, services, conditions)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_ACCEPT = """
INSERT INTO projection.acceptance (network, member, effective_on, effective_until, version) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (network, member, effective_on) DO UPDATE
SET effective_until = excluded.effective_until, version = excluded.version
"""

Decided = tuple[Sequence[FederationEvent], str, int, tuple[Statement, ...]]
"""Events, their stream, its version before them, and what is written beside them."""


class Office:
    """Commands about the federation's own log."""

    def __init__(
        self, pool: Pool, sequencer: Sequencer, federation: str, *, clock: Callable[[], datetime] = times.now
    ) -> None:
        self._pool = pool
        self._sequencer = sequencer
        self._reader = EventReader(pool)
        self._federation = federation
        self._origin = f"{federation}/federation"
        self._clock = clock

    async def admission(self, code: str) -> Admission:
        """Return a jurisdiction as the federation's log has it."""
        return decider.fold(Admission(code=code), await self._events(f"jurisdiction/{code}"))

    async def network(self, name: str) -> Network:
        """Return a network as the federation's log has it."""
        network = Network(name=name)
        for event in await self._events(network.subject):
            network = decider.evolve_network(network, event)
        return network

    async def admit(self, request: AdmissionRequest) -> Admission:
        """Admit a jurisdiction whose request was verified; raise Refused."""

        async def decide() -> Decided:
            admission = await self.admission(request.code)
            events = decider.admit(admission, request, self._stamp())
            beside = (
                Statement(_ADMIT[0], (request.code, request.heartbeat_key)),
                Statement(_ADMIT[1], (request.code, request.log_key)),
                Statement(_ADMIT[2], (PROJECTION, VERSION, request.code)),
            )
            return events, admission.subject, admission.version, beside

        await self._append(decide)
        return await self.admission(request.code)

    async def suspend(self, code: str, from_size: int | None) -> Admission:
        """Accept nothing of a log from a proven size on (None: from where it is now); raise Refused."""

        async def decide() -> Decided:
            admission = await self.admission(code)
            proven = await self._proven_size(code)
            size = proven if from_size is None else from_size
            events = decider.suspend(admission, size, proven, self._stamp())
            state = Statement("UPDATE mirror.log SET state = 'suspended' WHERE log = $1", (code,))
            beside = (state, *await self._going_back(code, size)) if events else ()
            return events, admission.subject, admission.version, beside

        await self._append(decide)
        return await self.admission(code)

    async def readmit(
        self, request: AdmissionRequest, from_size: int | None, branch: Branch | None = None
    ) -> Admission:
        """Let a history go on (None: from where it stands still) with new keys, verified; raise Refused.

        `branch` names the history that counts; left out, it is the one that is held here.
        """
        code = request.code

        async def decide() -> Decided:
            admission = await self.admission(code)
            proven = await self._proven_size(code)
            size = decider.going_on_from(admission, from_size, proven, await self._illegal_entry(code))
            if branch is not None:
                known = await self._is_known(code, branch, proven)
                decider.require_branch(admission, request, from_size, branch, known)
            held = min(size, proven)
            counts = branch or Branch(size=held, root=(await self._range_at(code, held)).root().hex())
            events = decider.readmit(admission, request, size, proven, self._stamp(), counts)
            if not events:
                return (), admission.subject, admission.version, ()
            ahead = (counts.size, bytes.fromhex(counts.root)) if counts.size > size else (None, None)
            beside = (
                *await self._going_back(code, size),
                Statement(_REOPEN, (code, request.heartbeat_key, *ahead)),
                Statement(_ACCIDENT_IS_OVER, (code,)),
                Statement(_RETIRE, (code,)),
                Statement(_NEXT_KEY, (code, size, request.log_key)),
            )
            return events, admission.subject, admission.version, beside

        await self._append(decide)
        return await self.admission(code)

    async def accept_transport_key(self, request: TransportKeyRequest) -> Admission:
        """Let a jurisdiction connect with another key too; raise Refused where its log's key has not asked for that."""
        code = request.code

        async def decide() -> Decided:
            admission = await self.admission(code)
            events = decider.accept_transport_key(admission, request, self._stamp())
            log_key = await self._pool.fetchval(_LOG_KEY, code)
            try:
                verify_transport_key(self._federation, log_key, request)
            except AdmissionError as error:
                raise Refused("admission-not-proven", f"The request does not hold: {error}.") from None
            return events, admission.subject, admission.version, ()

        await self._append(decide)
        return await self.admission(code)

    async def retire_transport_key(self, code: str) -> Admission:
        """Refuse the transport key that was replaced; raise Refused."""

        async def decide() -> Decided:
            admission = await self.admission(code)
            events = decider.retire_transport_key(admission, self._stamp())
            return events, admission.subject, admission.version, ()

        await self._append(decide)
        return await self.admission(code)

    async def record_evidence(self) -> int:
        """Say in the federation's log which logs contradicted themselves; return how many were recorded.

        Intake closed them when it found the evidence; a crash in between leaves only this to be done.
        """
        rows = await self._pool.fetch("SELECT hash, log, proven_size FROM mirror.evidence WHERE NOT recorded")
        for row in rows:
            await self._quarantine(row["log"], row["hash"], row["proven_size"])
        return len(rows)

    async def charter(self, name: str, terms: NetworkTermsData) -> Network:
        """Charter a network, or amend its terms; raise Refused."""

        async def decide() -> Decided:
            network = await self.network(name)
            events = decider.charter(network, terms, self._stamp())
            return events, network.subject, network.version, tuple(_to_row(name, event.data) for event in events)

        await self._append(decide)
        return await self.network(name)

    async def accept_member(self, name: str, member: str, on: date, until: date | UnsetType) -> Network:
        """Count a jurisdiction as a member of a network; raise Refused."""

        async def decide() -> Decided:
            network = await self.network(name)
            events = decider.accept_member(network, member, on, until, self._stamp())
            last_day = None if isinstance(until, UnsetType) else until
            beside = (Statement(_ACCEPT, (name, member, on, last_day, network.version + 1)),)
            return events, network.subject, network.version, beside

        await self._append(decide)
        return await self.network(name)

    async def _quarantine(self, code: str, evidence: str, proven_size: int) -> None:
        recorded = "UPDATE mirror.evidence SET recorded = true WHERE hash = $1"

        async def decide() -> Decided:
            admission = await self.admission(code)
            events = decider.quarantine(admission, evidence, proven_size, self._stamp())
            return events, admission.subject, admission.version, (Statement(recorded, (evidence,)),)

        if await self._append(decide):
            log.error("jurisdiction_quarantined", code=code)
        else:  # quarantined for something else before: the evidence is kept beside it
            await self._pool.execute(recorded, evidence)

    async def _append(self, decide: Callable[[], Awaitable[Decided]]) -> bool:
        """Decide and append, again where another was faster; return whether anything happened."""
        for attempt in range(ATTEMPTS):
            events, subject, version, beside = await decide()
            if not events:
                return False
            entries = tuple(
                NewEntry(encode_event(event), subject, version + number) for number, event in enumerate(events, 1)
            )
            try:
                await self._sequencer.append(Append(uuid.uuid4(), entries, {subject: version}, beside))
            except VersionConflict:
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                return True
        return False

    async def _events(self, subject: str) -> list[object]:
        return [decode_event(entry.data) for entry in await self._reader.stream(subject)]

    async def _proven_size(self, code: str) -> int:
        size: int | None = await self._pool.fetchval("SELECT proven_size FROM mirror.log WHERE log = $1", code)
        return size or 0

    async def _illegal_entry(self, code: str) -> IllegalEntry | None:
        """Return the entry at which a log stopped as illegal, if it is still in the history."""
        row = await self._pool.fetchrow(_ILLEGAL_ENTRY, PROJECTION, VERSION, code)
        return None if row is None else IllegalEntry(position=row["position"], receipt=row["receipt"])

    async def _going_back(self, code: str, size: int) -> tuple[Statement, ...]:
        """Return what takes a log back to a size: what follows it leaves the history, and the rows made of it.

        Raises Refused for a size without a receipt: nothing signed might cover what is left, and its node could not
        be told from where to go on.
        """
        async with self._pool.acquire() as connection:
            receipt: int = await connection.fetchval(_RECEIPT, code, size) or 0
            if receipt != size:
                text = f"No receipt was given for that size. The last one before it that has a receipt is {receipt}."
                raise Refused("size-not-proven", text, from_size=receipt)
        left = await self._range_at(code, min(size, await self._proven_size(code)))
        now = self._clock()
        return (
            Statement(_TAKE_BACK, (code, size, now)),
            Statement(_AFFECT, (code, size, now)),
            Statement(_DISOWN, (code, size, left.to_bytes())),
            Statement(_FORGET, (code, size)),
        )

    async def _range_at(self, code: str, size: int) -> CompactRange:
        """Return what is proven up to a size; raise Refused where the mirror lacks something before it."""
        async with self._pool.acquire() as connection:
            try:
                return await tree.range_at(connection, code, size)
            except MirrorGapError:
                raise Refused("size-not-proven", _GAP) from None

    async def _is_known(self, code: str, branch: Branch, proven: int) -> BranchIs:
        if branch.size <= proven and (await self._range_at(code, branch.size)).root().hex() == branch.root:
            return "held"
        async with self._pool.acquire() as connection:
            signed = await signed_in_evidence(connection, code)
        return "seen" if (branch.size, bytes.fromhex(branch.root)) in signed else "unknown"

    def _stamp(self) -> Stamp:
        return Stamp(event_id=str(uuid.uuid4()), origin=self._origin, at=self._clock())


def _to_row(network: str, terms: NetworkTermsData) -> Statement:
    """Return what writes the terms of a charter beside its event."""
    lists = (list(terms.kinds), list(terms.services), list(terms.conditions))
    return Statement(_CHARTER, (network, terms.version, terms.effective_on, terms.pattern, *lists))
