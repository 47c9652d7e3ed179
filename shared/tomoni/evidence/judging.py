"""What an evidence file proves, worked out from the keys of its log and nothing else.

Every byte of a file is bound to a signature: whatever is changed in it, it no longer convinces. So a note in it has
the signatures that accuse and no others, and nothing in it is there to be read only.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO, Final

import msgspec

from tomoni.events import Event
from tomoni.evidence import entries
from tomoni.evidence.form import Evidence, EvidenceError, Kind, Lines, Opening, read_evidence
from tomoni.key_names import heartbeat_key_name
from tomoni.tlog.checkpoint import Checkpoint, parse_checkpoint
from tomoni.tlog.cosignature import COSIGNATURE_V1, CosignatureVerifier, open_cosigned
from tomoni.tlog.encoding import decode_base64
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, ProofError, leaf_hash, range_before, verify_consistency, verify_inclusion
from tomoni.tlog.note import ED25519, Verifier, open_note, read_note

SLACK_SECONDS: Final = 900
"""Two heartbeats so near to each other accuse nobody: a clock may have been set, or two were under way at once."""


class Conviction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file proves of a log."""

    kind: Kind
    origin: str
    evidence: str
    """The SHA-256 of the document, by which the federation's own log names it."""
    keys: tuple[str, ...]
    """The keys that have signed all of it, among those given."""
    sizes: tuple[int, ...]
    """Of the checkpoints."""
    roots: tuple[str, ...]
    """Theirs, in hex."""
    position: int | None = None
    """Of the illegal entry."""
    proves: str
    does_not_prove: str


def judge(file: BinaryIO, verifiers: Sequence[Verifier]) -> Conviction:
    """Return what a file proves, read once and in flat memory; raise EvidenceError where it does not convince."""
    lines = Lines(file)
    case = _Case(read_evidence(lines), verifiers)
    conviction = _JUDGES[case.evidence.kind](case)
    if case.evidence.kind == "missing":
        _require_all_between(case, lines)
    if lines.next() is not None:
        raise lines.fault("the file should have ended before this line")
    return conviction


def judge_document(evidence: Evidence, verifiers: Sequence[Verifier]) -> Conviction:
    """Return what a document proves; raise EvidenceError where it does not convince.

    Of `missing` it proves that much together with the entries between, which are not looked at.
    """
    return _JUDGES[evidence.kind](_Case(evidence, verifiers))


class _Case:
    """A document under its notes' signatures."""

    def __init__(self, evidence: Evidence, verifiers: Sequence[Verifier]) -> None:
        self.evidence = evidence
        self._verifiers = list(dict.fromkeys(verifiers))
        self._signed = [self._open(number) for number in range(len(evidence.notes))]
        self.checkpoints = [checkpoint for checkpoint, _ in self._signed]
        self.origin = self.checkpoints[0].origin
        for number, (checkpoint, keys) in enumerate(self._signed):
            if checkpoint.origin != self.origin:
                raise self.wrong_note(number, f"the checkpoint is not of {self.origin}")
            if keys != self._signed[0][1]:
                raise self.wrong_note(number, "it is not signed by the key that has signed the first checkpoint")

    def _open(self, number: int) -> tuple[Checkpoint, list[Verifier]]:
        """Return a checkpoint with the keys that signed it: the log's, and for a heartbeat the heartbeat key."""
        note = self.evidence.notes[number]
        try:
            opened = open_note(note, self._verifiers)
            checkpoint = parse_checkpoint(opened.text)
            if opened.unverified or len(read_note(note).signatures) != len(opened.verified):
                names = ", ".join(sorted({name for name, _ in opened.unverified})) or "a key, twice"
                raise self.wrong_note(number, f"it is signed by {names}: give that key too, if it is one of this log")
        except NoteError as error:
            raise self.wrong_note(number, str(error)) from error
        signed = [one for one in self._verifiers if (one.name, one.key_id) in opened.verified]
        heartbeat = self.evidence.kind == "shrinking"
        wanted = [(checkpoint.origin, ED25519), (heartbeat_key_name(checkpoint.origin), COSIGNATURE_V1)][
            : 1 + heartbeat
        ]
        if sorted((one.name, one.key_type) for one in signed) != wanted:
            whose = "one key of its log and one for heartbeats" if heartbeat else "one key of its log"
            raise self.wrong_note(number, f"it is not signed by {whose}, and nobody else")
        return checkpoint, signed

    @property
    def keys(self) -> list[Verifier]:
        """The keys that have signed each of the notes."""
        return self._signed[0][1]

    def convict(self, proves: str, does_not_prove: str, position: int | None = None) -> Conviction:
        """Return the conviction."""
        return Conviction(
            kind=self.evidence.kind,
            origin=self.origin,
            evidence=self.evidence.hash,
            keys=tuple(key.vkey for key in self.keys),
            sizes=tuple(checkpoint.size for checkpoint in self.checkpoints),
            roots=tuple(checkpoint.root.hex() for checkpoint in self.checkpoints),
            position=position,
            proves=proves,
            does_not_prove=does_not_prove,
        )

    def wrong_note(self, number: int, text: str) -> EvidenceError:
        """Return what is wrong with a note."""
        return EvidenceError(*self.evidence.span_of_note(number), text)

    def wrong(self, part: int, text: str) -> EvidenceError:
        """Return what is wrong with an opening, or with -1 the root and its proof."""
        return EvidenceError(*self.evidence.span(part), text)

    def require_parts(self, *, root: bool, openings: int) -> None:
        """Raise EvidenceError unless exactly these parts are there."""
        evidence = self.evidence
        if (evidence.root is not None) != root:
            raise EvidenceError(3, 3, "a root and its proof are " + ("missing" if root else "not asked for"))
        if len(evidence.openings) != openings:
            last = self.wrong(len(evidence.openings) - 1, "").last if evidence.openings else 3
            raise EvidenceError(3, last, f"there are {len(evidence.openings)} entries where {openings} should be")

    def event(self, number: int) -> Event:
        """Return the event of an opening that its proof shows to stand in the log; raise EvidenceError."""
        opening = self.proven(number)
        event = entries.known_event(opening.entry)
        if event is None or event.source != self.origin:
            raise self.wrong(number, "the entry is no event of this log that this version knows")
        return event

    def proven(self, number: int) -> Opening:
        """Return an opening that its proof shows to stand in the log; raise EvidenceError."""
        opening, signed = self.evidence.openings[number], self.checkpoints[0]
        leaf = leaf_hash(opening.entry)
        try:
            verify_inclusion(leaf, opening.position, signed.size, opening.proof, signed.root)
        except ProofError as error:
            raise self.wrong(number, f"the entry is not proven at position {opening.position}: {error}") from error
        return opening


def _fork(case: _Case) -> Conviction:
    first, second = case.checkpoints
    same = first.size == second.size
    case.require_parts(root=not same, openings=0)
    if first.size > second.size:
        raise case.wrong_note(0, "the checkpoint of the larger size comes second")
    before = second.root
    if not same:
        before = case.evidence.root or b""
        try:
            verify_consistency(first.size, second.size, case.evidence.proof, before, second.root)
        except ProofError as error:
            raise case.wrong(-1, f"it is not proven which root the larger history had: {error}") from error
    if before == first.root:
        both = "they are the same" if same else "the second continues the first"
        raise case.wrong_note(1, f"both checkpoints can be true: {both}")
    what = (
        f"two checkpoints of size {first.size} with two roots"
        if same
        else f"a checkpoint of size {first.size}, and one of size {second.size} whose history has another root there"
    )
    return case.convict(
        f"The key has signed {what}. No log can have both histories.",
        "Which of the two is the true one, and whether it was a clone, a restored backup, a thief or a lie. After the "
        "federation has readmitted a log from an earlier size it rightly differs: its own log says so.",
    )


def _shrinking(case: _Case) -> Conviction:
    case.require_parts(root=False, openings=0)
    first, second = case.checkpoints
    earlier, later = (_time(case, number) for number in (0, 1))
    if second.size >= first.size:
        raise case.wrong_note(1, f"it has {second.size} entries, no fewer than the {first.size} before it")
    if later - earlier < SLACK_SECONDS:
        raise case.wrong_note(1, f"it is not {SLACK_SECONDS} seconds later than the first: a clock may have been set")
    return case.convict(
        f"The keys have signed that the log had {first.size} entries at {_at(earlier)}, and that it had "
        f"{second.size} at {_at(later)}. An append-only log never has fewer.",
        "That entries were removed: a clone or a restored backup that goes on signing shows the same, a readmission "
        "from an earlier size, and a clock that was wrong by as much as lies between the two.",
    )


def _illegal_entry(case: _Case) -> Conviction:
    case.require_parts(root=False, openings=1)
    opening = case.proven(0)
    reason = entries.wrong_by_itself(opening.entry, case.origin)
    if reason is None:
        raise case.wrong(0, "the entry can stand in this log")
    return _convict_entry(case, opening.position, reason)


def _repeated(case: _Case) -> Conviction:
    case.require_parts(root=False, openings=2)
    event, earlier = case.event(0), case.event(1)
    _require_before(case)
    reason = entries.wrong_after(event, earlier)
    if reason is None:
        raise case.wrong(0, "the entry can stand behind the other one")
    position, before = (opening.position for opening in case.evidence.openings)
    return _convict_entry(case, position, f"{reason}, which stands at position {before}")


def _missing(case: _Case) -> Conviction:
    """Judge an entry by the one about its subject before it, or as the first about it."""
    event, earlier = _event_and_earlier(case)
    if earlier is not None:
        _require_before(case)
        if earlier.subject != event.subject:
            raise case.wrong(1, "the entry is about something else than the one that is illegal")
    reason = entries.wrong_next(event, earlier)
    if reason is None:
        raise case.wrong(0, "the entry can be the next about its subject")
    return _convict_entry(case, case.evidence.openings[0].position, reason)


def _event_and_earlier(case: _Case) -> tuple[Event, Event | None]:
    both = len(case.evidence.openings) > 1
    case.require_parts(root=False, openings=1 + both)
    return case.event(0), case.event(1) if both else None


def _require_all_between(case: _Case, lines: Lines) -> None:
    """Raise EvidenceError unless all entries follow in between, and none can be what the illegal one goes on from.

    They are those of the log where their leaf hashes give the compact range that the entry's own proof has before it.
    """
    event, earlier = _event_and_earlier(case)
    openings = case.evidence.openings
    grown = CompactRange()
    if earlier is not None:
        grown = _range(case, openings[1])
        grown.append(leaf_hash(openings[1].entry))
    first, start, end = lines.number + 1, grown.size, openings[0].position
    for position in range(start, end):
        data = _entry(lines, position, end)
        if (why := entries.leaves_open(data, event, issued=earlier is not None)) is not None:
            raise lines.fault(f"the entry at position {position} may make the illegal one legal: {why}")
        grown.append(leaf_hash(data))
    if grown.nodes != _range(case, openings[0]).nodes:
        raise EvidenceError(first, lines.number, f"these are not the log's entries from position {start} to {end - 1}")


def _entry(lines: Lines, position: int, end: int) -> bytes:
    line = lines.next()
    if line is None:
        at = lines.number + 1
        raise EvidenceError(at, at, f"the entries from position {position} to {end - 1} are missing")
    try:
        return decode_base64(line)
    except ValueError as error:
        raise lines.fault(str(error)) from error


def _range(case: _Case, opening: Opening) -> CompactRange:
    return range_before(opening.position, case.checkpoints[0].size, opening.proof)


def _require_before(case: _Case) -> None:
    later, earlier = case.evidence.openings
    if earlier.position >= later.position:
        raise case.wrong(1, f"the entry does not stand before position {later.position}")


def _convict_entry(case: _Case, position: int, reason: str) -> Conviction:
    return case.convict(
        f"The key has signed a log whose entry at position {position} is no legal event of it: {reason}.",
        "Who wrote the entry, and why; whether the entries before it are true.",
        position,
    )


def _time(case: _Case, number: int) -> int:
    [cosigner] = [key for key in case.keys if isinstance(key, CosignatureVerifier)]
    return open_cosigned(case.evidence.notes[number], cosigner)


def _at(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"POSIX time {seconds}"


_JUDGES: Final[dict[Kind, Callable[[_Case], Conviction]]] = {
    "fork": _fork,
    "shrinking": _shrinking,
    "illegal-entry": _illegal_entry,
    "repeated": _repeated,
    "missing": _missing,
}
