"""Accusing a log: evidence is made, judged as anybody will judge it, and stored; storing it closes the log.

The federation's own log says so right after (admissions). What does not convince by the log's own signatures accuses
nobody: it is an alarm, and the caller goes on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from tomoni.database import Connection
from tomoni.events.canonical import encode
from tomoni.evidence import entries
from tomoni.evidence.form import Evidence, EvidenceError, Kind, Opening
from tomoni.evidence.judging import judge_document
from tomoni.history.keys import cosignature_verifier_of, verifiers_of
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import consistency_proof, inclusion_proof, leaf_hash
from tomoni.tlog.note import Verifier, open_note, without_strangers
from tomoni_federation.mirror import tree

log = structlog.get_logger()

_KEYS: Final = "SELECT DISTINCT log_key FROM mirror.key WHERE log = $1"

_COVERING: Final = "SELECT size, note FROM mirror.checkpoint WHERE log = $1 AND size >= $2 ORDER BY size LIMIT 10"
"""Some, since one may be signed by another key than what it shall be held against."""

_ENTRY: Final = f"SELECT data FROM mirror.entry WHERE log = $1 AND position = $2 AND {tree.WHOLE}"  # noqa: S608

_ABOUT: Final = """
SELECT e.position, e.data FROM mirror.entry e
WHERE e.log = $1 AND e.position < $2 AND position($3 IN e.data) > 0 ORDER BY e.position DESC
"""
"""A log is looked through once, when it is accused; an index of subjects for that would cost every entry something."""

_UNKNOWN: Final = """
SELECT subject FROM projection.position WHERE log = $1 AND position > $2 AND position < $3 AND unknown
"""

_STORE: Final = """
INSERT INTO mirror.evidence (hash, log, kind, document, proven_size, found_at, position, leaf)
SELECT $1, log, $3, $4, proven_size, now(), $5, $6 FROM mirror.log WHERE log = $2
ON CONFLICT (hash) DO UPDATE SET recorded = false
"""
"""Found again where the log was readmitted in between."""


async def accuse_pair(connection: Connection, code: str, first: bytes, second: bytes) -> bool:
    """Accuse a log of two checkpoints of one size with different roots; return whether that convinces."""
    keys = await _keys(connection, code)
    for key in keys:
        if (notes := _all_by(key, first, second)) is not None:
            return await _accuse(connection, code, Evidence(kind="fork", notes=notes), keys)
    return _refuse(code)


async def accuse_checkpoint(connection: Connection, code: str, note: bytes) -> bool:
    """Accuse a log of a checkpoint whose root is not the one its proven history had at that size.

    The proof shows, against a checkpoint by the same key that covers it, which root the history had. Returns whether
    that convinces. Raises MirrorGapError where the mirror lacks what the proof is made of.
    """
    keys = await _keys(connection, code)
    size = read_checkpoint(note).size
    for proven, covering in await _covering(connection, code, size):
        for key in keys:
            if (notes := _all_by(key, note, covering)) is None:
                continue
            evidence = Evidence(kind="fork", notes=notes)
            if proven > size:
                proof = consistency_proof(size, proven, await tree.proof_hashes(connection, code, size, proven))
                root = (await tree.range_at(connection, code, size)).root()
                evidence = replace(evidence, root=root, proof=tuple(proof))
            return await _accuse(connection, code, evidence, keys)
    return _refuse(code)


async def accuse_continuation(
    connection: Connection, code: str, proven: bytes, note: bytes, root: bytes, proof: list[bytes]
) -> bool:
    """Accuse a log of a checkpoint that does not continue a smaller, proven one; return whether that convinces.

    The proof shows which root the history under the larger one had at the smaller one's size.
    """
    keys = await _keys(connection, code)
    for key in keys:
        if (notes := _all_by(key, proven, note)) is not None:
            return await _accuse(
                connection, code, Evidence(kind="fork", notes=notes, root=root, proof=tuple(proof)), keys
            )
    return _refuse(code)


async def accuse_shrinking(connection: Connection, code: str, heartbeat_key: str, before: bytes, note: bytes) -> bool:
    """Accuse a log of a heartbeat that has fewer entries than one before; return whether that convinces."""
    cosigner = cosignature_verifier_of(heartbeat_key)
    keys = [key for key in await _keys(connection, code) if _all_by(key, before, note) is not None]
    notes = tuple(_only_of(one, *keys[:1], cosigner) for one in (before, note))
    return await _accuse(connection, code, Evidence(kind="shrinking", notes=notes), [*keys[:1], cosigner])


async def accuse_entry(connection: Connection, code: str, position: int) -> bool:
    """Accuse a log of a proven entry that is no legal event of it; return whether that convinces.

    Raises MirrorGapError like `accuse_checkpoint`.
    """
    keys = await _keys(connection, code)
    size, covering = (await _covering(connection, code, position + 1))[0]
    notes = next((notes for key in keys if (notes := _all_by(key, covering)) is not None), ())
    illegal = await _opening(connection, code, position, size)
    origin = read_checkpoint(covering).origin
    kind, earlier = await _ground(connection, code, origin, illegal)
    openings = [illegal, *[await _opening(connection, code, at, size) for at in earlier]]
    if kind == "missing" and await _is_doubtful(connection, code, openings):
        return _refuse(code)
    evidence = Evidence(kind=kind, notes=notes, openings=tuple(openings))
    return await _accuse(connection, code, evidence, keys)


async def _ground(connection: Connection, code: str, origin: str, illegal: Opening) -> tuple[Kind, tuple[int, ...]]:
    """Return why an entry is illegal, and the position of the entry about its subject that makes it so."""
    event = entries.known_event(illegal.entry)
    if event is None or entries.wrong_by_itself(illegal.entry, origin) is not None:
        return "illegal-entry", ()
    rows = await connection.fetch(_ABOUT, code, illegal.position, b'"subject":' + encode(event.subject))
    known = [(row["position"], entries.known_event(row["data"])) for row in rows]
    about = [(at, one) for at, one in known if one is not None and one.subject == event.subject]
    repeated = next((at for at, one in about if entries.wrong_after(event, one) is not None), None)
    if repeated is not None:
        return "repeated", (repeated,)
    return "missing", tuple(at for at, _ in about[:1])


async def _is_doubtful(connection: Connection, code: str, openings: Sequence[Opening]) -> bool:
    """Return whether an event of an unknown type before an entry may be what it goes on from."""
    event = entries.known_event(openings[0].entry)
    since = openings[1].position if len(openings) > 1 else -1
    rows = await connection.fetch(_UNKNOWN, code, since, openings[0].position)
    issued = len(openings) > 1
    return event is None or any(
        entries.unknown_leaves_open(row["subject"], event, issued=issued) is not None for row in rows
    )


async def _opening(connection: Connection, code: str, position: int, size: int) -> Opening:
    entry = await connection.fetchval(_ENTRY, code, position)
    if entry is None:
        raise tree.MirrorGapError(position)
    hashes = await tree.proof_hashes(connection, code, position, size)
    return Opening(position, entry, tuple(inclusion_proof(position, size, hashes)))


async def _covering(connection: Connection, code: str, size: int) -> list[tuple[int, bytes]]:
    rows = await connection.fetch(_COVERING, code, size)
    if not rows:
        raise tree.MirrorGapError(size - 1)
    return [(row["size"], row["note"]) for row in rows]


async def _keys(connection: Connection, code: str) -> list[Verifier]:
    rows = await connection.fetch(_KEYS, code)
    return verifiers_of(row["log_key"] for row in rows)


def _all_by(key: Verifier, *notes: bytes) -> tuple[bytes, ...] | None:
    """Return notes with a key's signature alone, None where it has not signed one of them."""
    try:
        for note in notes:
            open_note(note, [key])
    except NoteError:
        return None
    return tuple(_only_of(note, key) for note in notes)


def _only_of(note: bytes, *keys: Verifier) -> bytes:
    """Return a note with the signatures of some keys: who reads evidence need not know any other."""
    own = {(key.name, key.key_id) for key in keys}
    return without_strangers(note, lambda line: (line.name, line.key_id) in own)


async def _accuse(connection: Connection, code: str, evidence: Evidence, keys: Sequence[Verifier]) -> bool:
    try:
        judge_document(evidence, keys)
    except EvidenceError as error:
        return _refuse(code, error.text)
    document, illegal = evidence.to_bytes(), evidence.openings[:1]
    position, leaf = (illegal[0].position, leaf_hash(illegal[0].entry)) if illegal else (None, None)
    await connection.execute(_STORE, evidence.hash, code, evidence.kind, document, position, leaf)
    await connection.execute("UPDATE mirror.log SET state = 'quarantined' WHERE log = $1", code)
    return True


def _refuse(code: str, why: str = "no key has signed all of it") -> bool:
    log.error("evidence_does_not_convince", code=code, error=why)
    return False
