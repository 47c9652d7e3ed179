"""Assembling one log from what the wire brings: a pure fold of messages into proven entries.

Nothing that arrives is believed. An entry is provisional until a checkpoint, rightly signed, covers it with the right
root. Whoever holds a stolen transport key can send anything but that signature, so:

- proven positions are dropped when they come again, whatever their bytes;
- for a position that is not proven the last bytes win: after junk the relay publishes anew from the last receipt, in
  one atomic batch that ends at a checkpoint, so the true bytes are the last before that checkpoint;
- a checkpoint is tried where it stands in the stream, before anything after it can overwrite what it covers;
- where all entries are there and the root is another, the unproven suffix is discarded and comes again;
- a gap waits; nothing after it counts until it is filled.

Only a signature of the log's own key accuses: two checkpoints that cannot both be true are a contradiction. A key that
was replaced may be a thief's by now: where it contradicts the history it raises an alarm and changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tomoni.events import EventError, decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.events.types import MAX_ENTRY_BYTES
from tomoni.history.keys import cosignature_verifier_of, is_log_key, verifiers_of
from tomoni.key_names import heartbeat_key_name
from tomoni.tlog.checkpoint import Checkpoint, parse_checkpoint
from tomoni.tlog.cosignature import open_cosigned
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import EMPTY_ROOT, MAX_SIZE, leaf_hashes
from tomoni.tlog.note import Verifier, open_note, without_strangers
from tomoni.tlog.succession import Key, keys_for
from tomoni_federation.intake.clocks import MAX_CLOCK_OFFSET, Beat
from tomoni_federation.intake.logs import Checked, Claim, Contradiction, Heartbeat, Log, Proven, Retired

MAX_AHEAD: Final = 2_000
"""Positions beyond the proven size that are kept: two full batches. A relay has no reason to be further ahead."""
MAX_KEPT_BYTES: Final = 4_000_000
"""Bytes of provisional entries kept from one batch of intake to the next, those nearest to being proven first. A whole
batch of a relay has some 600,000; without a bound of bytes a thief could have 120 MB carried along for each log."""
MAX_AWAITED: Final = 64
"""Checkpoints and heartbeats kept for entries that have not come; they cost a signature each, so few are."""
MAX_NOTE_BYTES: Final = 2_048
"""A checkpoint with a line for each of three keys has 500; with the receipt's line it still fits a message."""
_ROTATION: Final = b'"type":"jp.tomoni.key.rotated.v1"'
"""In canonical JSON these bytes are a member of the envelope: within a text the quotes would be escaped."""


def take_entry(log: Log, position: int, data: bytes) -> None:
    """Keep the bytes of a position that is not proven, in the place of what came for it before."""
    if position < log.range.size:
        return
    if position >= log.range.size + MAX_AHEAD or not 0 < len(data) <= MAX_ENTRY_BYTES:
        log.junk += 1
        return
    log.provisional[position] = data


def take_checkpoint(log: Log, note: bytes) -> None:
    """Prove what a checkpoint covers, or keep it for entries to come; drop what the log's key has not signed."""
    checkpoint = _open(log, note)
    if checkpoint is None:
        _drop(log, note)
        return
    note = without_strangers(note, lambda line: line.name == log.origin)  # a thief may add lines to spoil the receipt
    if checkpoint.size <= log.range.size:
        log.repeats = log.repeats or checkpoint.size <= log.first
        log.claims.append(Claim(checkpoint.size, checkpoint.root, note))
        return
    _await(log, Checked(checkpoint.size, checkpoint.root, note))
    prove(log, discard=True)


def take_heartbeat(log: Log, note: bytes, heard: datetime) -> None:
    """Keep a heartbeat until its size is proven; drop one that is not signed by both keys or comes from the future.

    It speaks for no later than when it was heard: what a clock that is ahead has said once would otherwise make its log
    look fresh when that time comes, however long it has been silent by then.
    """
    checkpoint = _open(log, note)
    node_time = _heartbeat_time(log, note)
    if checkpoint is None or node_time is None:
        _drop(log, note)
        return
    log.beats.append(Beat(node_time, heard))
    if node_time > heard + MAX_CLOCK_OFFSET:
        return
    own = {log.origin, heartbeat_key_name(log.origin)}
    note = without_strangers(note, lambda line: line.name in own)
    await_heartbeat(log, Heartbeat(checkpoint.size, checkpoint.root, min(node_time, heard), note))


def prove(log: Log, *, discard: bool) -> None:
    """Prove as far as awaited checkpoints and provisional entries allow.

    `discard` what a checkpoint shows to be wrong only where that checkpoint stands in the stream. Elsewhere true
    entries may be on their way over the wrong ones, and discarding would take the first of them with the junk.
    """
    mismatched = 0
    for size in sorted(log.awaited):
        awaited = log.awaited.get(size)  # a new key may have made it void meanwhile
        if awaited is not None and size > log.range.size and not _prove_to(log, awaited):
            mismatched = size
    for size in sorted(log.awaited):
        if size <= log.range.size:  # another, larger one was proven first: now this one can be checked against it
            passed = log.awaited.pop(size)
            log.claims.append(Claim(passed.size, passed.root, passed.note))
    if discard and mismatched > log.range.size:
        log.mismatches += 1
        for position in range(log.range.size, mismatched):
            log.provisional.pop(position, None)


def _prove_to(log: Log, awaited: Checked) -> bool:
    """Prove what a checkpoint covers, if all has come; return False where all has come and the root is another."""
    start = log.range.size
    positions = range(start, awaited.size)
    try:
        entries = [log.provisional[position] for position in positions]
    except KeyError:
        return True  # a gap waits
    leaves = leaf_hashes(entries)
    grown = log.range.copy()
    grown.extend(leaves)
    if grown.root() != awaited.root or not _is_of_branch(log, leaves):
        return False
    rotated = _rotations(log, start, entries)
    if not _signed_by_all(awaited.note, rotated):
        return True  # authentic, but a new key has yet to speak for itself
    if rotated:
        log.keys.extend(rotated)
        _forget_words_of_former_keys(log)
    _settle_heartbeats(log, leaves, awaited.size)
    log.range = grown
    log.entries.extend(entries)
    log.leaves.extend(leaves)
    log.proven.append(Proven(awaited.size, awaited.root, awaited.note, grown.to_bytes()))
    for position in positions:
        del log.provisional[position]
    log.awaited.pop(awaited.size, None)
    return True


def _is_of_branch(log: Log, leaves: Sequence[bytes]) -> bool:
    """Return whether what follows is of the branch that counts, where it passes the size that names it."""
    start, branch = log.range.size, log.branch
    if branch is None or not start < branch.size <= start + len(leaves):
        return True
    grown = log.range.copy()
    grown.extend(leaves[: branch.size - start])
    return grown.root() == branch.root


def _forget_words_of_former_keys(log: Log) -> None:
    """Drop what waits and was signed by a key that no longer speaks for its size: its holder may be a thief."""
    for word in [*log.awaited.values(), *log.heartbeats]:
        if _open(log, word.note) is None:
            log.retired = log.retired or retired_word(log, word.note)
            if isinstance(word, Checked):
                del log.awaited[word.size]
            else:
                log.heartbeats.remove(word)


def _settle_heartbeats(log: Log, leaves: Sequence[bytes], size: int) -> None:
    """Turn the heartbeats within newly proven leaves into claims, those that hold with the root just computed."""
    start, grown = log.range.size, log.range.copy()
    while log.heartbeats and log.heartbeats[0].size <= size:
        heartbeat = log.heartbeats.pop(0)
        grown.extend(leaves[grown.size - start : heartbeat.size - start])
        log.roots[heartbeat.size] = grown.root()
        log.claims.append(Claim(heartbeat.size, heartbeat.root, heartbeat.note, heartbeat))


def await_heartbeat(log: Log, heartbeat: Heartbeat) -> None:
    """Make a claim of a heartbeat whose size is proven; keep any other until it is.

    They are kept in order of size, the latest of a size; of too many the nearest to being proven and the last.
    """
    if heartbeat.size <= log.range.size:
        log.claims.append(Claim(heartbeat.size, heartbeat.root, heartbeat.note, heartbeat))
        return
    if _contradicts(log, heartbeat):
        return
    same = [one for one in log.heartbeats if one.size == heartbeat.size]
    others = [one for one in log.heartbeats if one.size != heartbeat.size]
    others.append(max([*same, heartbeat], key=lambda one: one.as_of))
    log.heartbeats = sorted(others, key=lambda one: one.size)
    del log.heartbeats[MAX_AWAITED:-1]


def keep_nearest(log: Log) -> None:
    """Drop provisional entries beyond MAX_KEPT_BYTES, the farthest first: true ones come in order from the nearest."""
    kept = 0
    for position in sorted(log.provisional):
        kept += len(log.provisional[position])
        if kept > MAX_KEPT_BYTES:
            del log.provisional[position]


def _rotations(log: Log, start: int, entries: Sequence[bytes]) -> list[Key]:
    """Return the keys that entries announce, each valid for the sizes that include its announcement.

    One that was used before is none: it may be why there is another (projecting finds the entry illegal).
    """
    keys: list[Key] = []
    used = {key.log_key for key in log.keys}
    for offset, data in enumerate(entries):
        if _ROTATION in data:
            try:
                event = decode_event(data)
            except EventError:
                continue  # proven and illegal: projecting finds it
            if not isinstance(event, KeyRotated) or event.source != log.origin or event.data.log_key in used:
                continue
            if is_log_key(event.data.log_key, log.origin):
                keys.append(Key(start + offset + 1, event.data.log_key))
                used.add(event.data.log_key)
    return keys


def _signed_by_all(note: bytes, rotated: Sequence[Key]) -> bool:
    """Whether every new key has signed too; the old one has, or a thief could announce a key of his own."""
    return all(_opens(note, [verifier]) for verifier in verifiers_of(key.log_key for key in rotated))


def _drop(log: Log, note: bytes) -> None:
    log.junk += 1
    log.retired = log.retired or retired_word(log, note)


def retired_word(log: Log, note: bytes) -> Retired | None:
    """Return the word of a note that was signed by a key of this log which does not speak for it any more.

    None where a key in force has signed it too, or none of this log's.
    """
    in_force = keys_for(log.keys, MAX_SIZE)
    if _opened(log, note, in_force) is not None:
        return None
    for key in log.keys:
        if key not in in_force and (checkpoint := _opened(log, note, [key])) is not None:
            return Retired(checkpoint.size, checkpoint.root, key.log_key, note)
    return None


def _open(log: Log, note: bytes) -> Checkpoint | None:
    """Return a checkpoint of this log signed by the key valid for its size; None for anything else."""
    try:
        size = parse_checkpoint(note.decode().partition("\n\n")[0] + "\n").size
    except (NoteError, UnicodeDecodeError):
        return None
    return _opened(log, note, keys_for(log.keys, size))


def _opened(log: Log, note: bytes, keys: Sequence[Key]) -> Checkpoint | None:
    """Return a checkpoint of this log signed by one of some keys; None for anything else."""
    try:
        if len(note) > MAX_NOTE_BYTES:
            return None
        valid = verifiers_of(key.log_key for key in keys)
        checkpoint = parse_checkpoint(open_note(note, valid).text)
    except (NoteError, UnicodeDecodeError):
        return None
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return None
    return checkpoint if checkpoint.origin == log.origin else None


def is_own_word(log: Log, note: bytes) -> bool:
    """Tell whether a note is a checkpoint of this log, signed by the key that is valid for its size."""
    return _open(log, note) is not None


def _heartbeat_time(log: Log, note: bytes) -> datetime | None:
    try:
        return datetime.fromtimestamp(open_cosigned(note, cosignature_verifier_of(log.heartbeat_key)), UTC)
    except (NoteError, ValueError, OverflowError, OSError):
        return None


def _contradicts(log: Log, word: Checked | Heartbeat) -> bool:
    """Note that a word and one that waits cannot both be true: both are the log's own, of one size, with two roots."""
    for other in (*log.awaited.values(), *log.heartbeats):
        if other.size == word.size and other.root != word.root:
            log.contradictions.append(Contradiction(other.note, word.note))
            return True
    return False


def _await(log: Log, awaited: Checked) -> None:
    if _contradicts(log, awaited):
        return
    log.awaited[awaited.size] = awaited
    for size in sorted(log.awaited)[MAX_AWAITED:-1]:
        del log.awaited[size]


def _opens(note: bytes, verifiers: Sequence[Verifier]) -> bool:
    try:
        open_note(note, verifiers)
    except NoteError:
        return False
    return True
