"""Signed contradictions: kept so that anybody can check them with the log's own key and nothing of ours.

Storing one closes the log in the same transaction; the federation's own log says so right after (admissions). The
document is canonical JSON: two checkpoints of one log with the proof that they cannot both be true, or an entry that
is no legal event with its proof of inclusion.
"""

import base64
import hashlib

from tomoni.database import Connection
from tomoni.events.canonical import encode
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.merkle import consistency_proof, inclusion_proof
from tomoni.tlog.note import read_note
from tomoni_federation.mirror import tree


async def accuse_pair(connection: Connection, log: str, first: bytes, second: bytes) -> None:
    """Accuse a log of two checkpoints of one size with different roots."""
    document = {"kind": "checkpoints", "log": log, "notes": [_text(first), _text(second)], "proof": []}
    await _accuse(connection, log, "checkpoints", encode(document))


async def accuse_checkpoint(connection: Connection, log: str, note: bytes) -> None:
    """Accuse a log of a checkpoint whose root is not the one its proven history had at that size.

    The proof shows, against a larger checkpoint by the same log, which root the history had. Raises MirrorGapError
    where the mirror lacks what the proof is made of.
    """
    size = parse_checkpoint(read_note(note).text).size
    proven = await _covering(connection, log, size)
    proof = consistency_proof(size, proven[0], await tree.proof_hashes(connection, log, size, proven[0]))
    root = (await tree.range_at(connection, log, size)).root()
    document = {
        "kind": "checkpoints",
        "log": log,
        "notes": [_text(note), _text(proven[1])],
        "proof": [_text(node) for node in proof],
        "root": _text(root),
    }
    await _accuse(connection, log, "checkpoints", encode(document))


async def accuse_continuation(
    connection: Connection, log: str, proven: bytes, note: bytes, root: bytes, proof: list[bytes]
) -> None:
    """Accuse a log of a checkpoint that does not continue a smaller one, which is proven.

    The proof shows which root the history under the larger one had at the smaller one's size.
    """
    document = {
        "kind": "checkpoints",
        "log": log,
        "notes": [_text(proven), _text(note)],
        "proof": [_text(node) for node in proof],
        "root": _text(root),
    }
    await _accuse(connection, log, "checkpoints", encode(document))


async def accuse_entry(connection: Connection, log: str, position: int, reason: str) -> None:
    """Accuse a log of a proven entry that is no legal event of it; raise MirrorGapError like `accuse_checkpoint`."""
    proven = await _covering(connection, log, position + 1)
    data = await connection.fetchval("SELECT data FROM mirror.entry WHERE log = $1 AND position = $2", log, position)
    proof = inclusion_proof(position, proven[0], await tree.proof_hashes(connection, log, position, proven[0]))
    document = {
        "entry": _text(data),
        "kind": "entry",
        "log": log,
        "notes": [_text(proven[1])],
        "position": position,
        "proof": [_text(node) for node in proof],
        "reason": reason,
    }
    await _accuse(connection, log, "entry", encode(document))


async def _covering(connection: Connection, log: str, size: int) -> tuple[int, bytes]:
    row = await connection.fetchrow(
        "SELECT size, note FROM mirror.checkpoint WHERE log = $1 AND size >= $2 ORDER BY size LIMIT 1", log, size
    )
    if row is None:
        raise tree.MirrorGapError(size - 1)
    return row["size"], row["note"]


async def _accuse(connection: Connection, log: str, kind: str, document: bytes) -> None:
    await connection.execute(
        """INSERT INTO mirror.evidence (hash, log, kind, document, proven_size, found_at)
        SELECT $1, log, $3, $4, proven_size, now() FROM mirror.log WHERE log = $2
        ON CONFLICT (hash) DO UPDATE SET recorded = false""",  # the log may have been readmitted in between
        hashlib.sha256(document).hexdigest(),
        log,
        kind,
        document,
    )
    await connection.execute("UPDATE mirror.log SET state = 'quarantined' WHERE log = $1", log)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
