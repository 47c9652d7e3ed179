"""Taking in a bundle: what a town without a network has carried here, by the same way as what comes over the wire.

The file is read twice. First whole: that nothing of it was altered or is missing, that the town's key has signed its
end, and that its history does not contradict the one proven here. Then portion by portion into intake, each in a
transaction of its own, as if a relay had sent it; intake believes nothing of it either. Killed anywhere, the same file
taken in again goes on where it was: what is proven is dropped when it comes again. The live stream may go on meanwhile.
"""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from tomoni.bundle import BundleError, BundleReader, Portion
from tomoni.database import Pool
from tomoni.history.keys import verifiers_of
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, consistency_proof
from tomoni.tlog.note import open_note
from tomoni.tlog.succession import Key, keys_for
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_federation.admissions.office import Office
from tomoni_federation.intake.receive import Fork, Receiver
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.mirror.tree import hashes_beyond
from tomoni_federation.projections.project import Projector
from tomoni_federation.projections.sql import PROJECTION, VERSION

_CODE: Final = re.compile(r"[0-9]{6}")
_HELD: Final = """
SELECT l.state, l.proven_size, l.compact, c.fresh_as_of,
    (SELECT jsonb_agg(jsonb_build_array(k.from_size, k.log_key, k.retired) ORDER BY k.from_size)::text
     FROM mirror.key k WHERE k.log = l.log) AS keys
FROM mirror.log l LEFT JOIN projection.cursor c ON c.projection = $2 AND c.version = $3 AND c.log = l.log
WHERE l.log = $1
"""

Progress = Callable[[int, int], None]
"""Told how many entries of the log are proven, of how many."""


class BundleRefusedError(Exception):
    """A bundle is not taken in, or not to its end; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a bundle: the log had `before` proven entries and has `proven`; the bundle goes up to `size`."""

    code: str
    before: int
    proven: int
    size: int
    fresh_as_of: datetime | None
    """As of when the town's history is known to be complete: no later than its own heartbeat said."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the mirror has of a log."""

    state: str
    range: CompactRange
    keys: list[Key]
    fresh_as_of: datetime | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a whole bundle holds."""

    size: int
    heartbeat: bytes | None
    fork: Fork | None


class Taker:
    """Takes bundles in, in a process beside the service or without it."""

    def __init__(self, pool: Pool, federation: str, receiver: Receiver, projector: Projector, office: Office) -> None:
        self._pool = pool
        self._federation = federation
        self._receiver = receiver
        self._projector = projector
        self._office = office
        self._scrubber = Scrubber(pool, federation)

    async def take(self, file: Path, on_progress: Progress | None = None) -> Taken:
        """Take in a bundle, and return once it is proven, has its receipt and is projected.

        Raises BundleRefusedError where it is not this federation's to take, does not follow on what is proven,
        contradicts it (then the evidence is kept, as for a contradiction on the wire) or is altered, and OSError.
        """
        code, held, seen = await self._look(file)
        try:
            if seen.fork is not None and await self._receiver.accuse(code, seen.fork):
                raise BundleRefusedError(_contradicts(code))
            await self._feed(file, code, seen, on_progress)
        finally:
            await self._projector.catch_up()
            await self._office.record_evidence()
        now = await self._held(code)
        _require_open(code, now)
        if now.range.size < seen.size:
            raise BundleRefusedError(
                f"{now.range.size} of {seen.size} entries of {code} are proven: what follows is not signed by the key "
                "that is valid for it, or other entries came meanwhile. Take it in again; then ask the town"
            )
        return Taken(
            code=code,
            before=held.range.size,
            proven=now.range.size,
            size=seen.size,
            fresh_as_of=now.fresh_as_of,
        )

    async def _look(self, file: Path) -> tuple[str, _Held, _Seen]:
        """Read the whole file, and hold it against what the mirror has."""
        with _reading(file) as bundle:
            code = self._code_of(bundle.origin)
            held = await self._held(code)
            _require_open(code, held)
            if bundle.start > held.range.size:
                missing = f"{held.range.size} to {bundle.start - 1}"
                raise BundleRefusedError(
                    f"the entries {missing} of {code} are missing: {held.range.size} are proven here, and the bundle "
                    f"begins after {bundle.start}. Let the town export with --since {held.range.size}"
                )
            fork: Fork | None = None
            for portion in bundle.portions():
                fork = fork or _fork(held.range, portion)
            _require_own(bundle, held)
            return code, held, _Seen(bundle.size, bundle.heartbeat, fork)

    async def _feed(self, file: Path, code: str, seen: _Seen, on_progress: Progress | None) -> None:
        await self._scrubber.start()
        with _reading(file) as bundle:
            for portion in bundle.portions():
                messages = _messages(code, portion)
                received = await self._receiver.events(messages)
                if received.contradicted:
                    raise BundleRefusedError(_contradicts(code))
                await self._scrubber.overhear(messages)  # a town without a network mends the mirror by no other way
                if on_progress is not None:
                    on_progress(portion.size, seen.size)
        if seen.heartbeat is not None:
            beat = RawMessage(code, None, None, seen.heartbeat, "")
            if (await self._receiver.heartbeats([beat])).contradicted:
                raise BundleRefusedError(_contradicts(code))

    def _code_of(self, origin: str) -> str:
        federation, _, code = origin.rpartition("/")
        if federation != self._federation or _CODE.fullmatch(code) is None:
            raise BundleRefusedError(f"it is a bundle of the log {origin}, which is no town's of {self._federation}")
        return code

    async def _held(self, code: str) -> _Held:
        row = await self._pool.fetchrow(_HELD, code, PROJECTION, VERSION)
        if row is None:
            raise BundleRefusedError(f"{code} is not admitted: nothing of it is taken")
        keys = [Key(*fields) for fields in msgspec.json.decode(row["keys"], type=list[tuple[int, str, bool]])]
        tree = CompactRange.from_bytes(row["proven_size"], row["compact"])
        return _Held(row["state"], tree, keys, row["fresh_as_of"])


@contextmanager
def _reading(file: Path) -> Generator[BundleReader]:
    with file.open("rb") as opened:
        try:
            yield BundleReader(opened)
        except BundleError as error:
            raise BundleRefusedError(f"the file is no whole and unaltered bundle: {error}") from error


def _require_open(code: str, held: _Held) -> None:
    if held.state != "open":
        raise BundleRefusedError(f"{code} is {held.state}: nothing of it is taken until it is readmitted")


def _require_own(bundle: BundleReader, held: _Held) -> None:
    """Raise BundleRefusedError unless the end is signed by the log's key: the one valid where the bundle is new.

    A node signs it with every key that was valid from the bundle's beginning to its end, so a rotation within it that
    is not known here yet is no obstacle.
    """
    known = keys_for(held.keys, min(held.range.size, bundle.size))
    verifiers = verifiers_of(key.log_key for key in known)
    try:
        open_note(bundle.end, verifiers)
    except NoteError as error:
        raise BundleRefusedError(f"its end is not signed by the key that {bundle.origin} has here: {error}") from error


def _fork(held: CompactRange, portion: Portion) -> Fork | None:
    """Return a portion's checkpoint as a fork where its history had another root at the proven size.

    A checkpoint of a proven size is not looked at: intake compares it.
    """
    if not portion.start < held.size < portion.size:
        return None
    grown = portion.before.copy()
    grown.extend(portion.leaves[: held.size - portion.start])
    if grown.root() == held.root():
        return None
    proof = consistency_proof(held.size, portion.size, hashes_beyond(portion.before, portion.leaves))
    return Fork(held.size, grown.root(), proof, portion.note)


def _messages(code: str, portion: Portion) -> list[RawMessage]:
    """Return what a relay would have sent."""
    entries = [RawMessage(code, Kind.ENTRY, at, data, "") for at, data in enumerate(portion.entries, portion.start)]
    return [*entries, RawMessage(code, Kind.CHECKPOINT, portion.size, portion.note, "")]


def _contradicts(code: str) -> str:
    return (
        f"it contradicts what is proven of {code}, and both are signed by its key: the evidence is kept, {code} is "
        "quarantined. Call the town"
    )
