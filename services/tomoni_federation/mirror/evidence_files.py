"""Evidence as files: what is stored against a log, whole and for whoever has its key.

A document that is stored says all but the entries between two of a log (`missing`), which may be a million: they come
from the mirror when the file is written, from what was moved out of the history where a readmission has done that.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import BinaryIO, Final, Protocol

from tomoni.database import Connection
from tomoni.evidence.form import Evidence, EvidenceError, Lines, read_evidence
from tomoni.evidence.judging import Conviction, judge
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.cosignature import parse_verifier
from tomoni.tlog.encoding import encode_base64
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier

_LIST: Final = "SELECT hash, kind, found_at, recorded FROM mirror.evidence WHERE log = $1 ORDER BY found_at, hash"

_DOCUMENT: Final = "SELECT document, found_at FROM mirror.evidence WHERE log = $1 AND hash = $2"

_DOCUMENTS: Final = "SELECT document FROM mirror.evidence WHERE log = $1"

_BETWEEN: Final = """
SELECT n.position, coalesce(d.data, e.data) AS data FROM generate_series($2::bigint, $3::bigint - 1) AS n (position)
LEFT JOIN LATERAL (
    SELECT data FROM mirror.disowned
    WHERE log = $1 AND position = n.position AND disowned_at > $4 ORDER BY disowned_at LIMIT 1
) AS d ON true
LEFT JOIN mirror.entry e ON e.log = $1 AND e.position = n.position AND d.data IS NULL
ORDER BY n.position
"""
"""As it was when the evidence was found: what was moved out since comes first."""

_KEYS: Final = """
SELECT log_key AS key FROM mirror.key WHERE log = $1 UNION SELECT heartbeat_key FROM mirror.log WHERE log = $1
"""

_PORTION: Final = 1_000


@dataclass(frozen=True, slots=True)
class Listed:
    """Evidence as it is listed; `recorded`: the federation's own log names it, or the log was quarantined before."""

    hash: str
    kind: str
    found_at: datetime
    recorded: bool


async def list_evidence(connection: Connection, code: str) -> list[Listed]:
    """Return what is stored against a log, the newest last."""
    return [Listed(*row.values()) for row in await connection.fetch(_LIST, code)]


class Writable(Protocol):
    """Takes the bytes of a file."""

    def write(self, data: bytes, /) -> object:
        """Take some more."""
        ...


async def write_evidence(connection: Connection, code: str, name: str, file: Writable) -> None:
    """Write an evidence file; raise KeyError where there is no such evidence.

    The connection is in a transaction of repeatable reads. Where the mirror has lost what the file needs it is written
    without, and does not convince: judge it.
    """
    row = await connection.fetchrow(_DOCUMENT, code, name)
    if row is None:
        raise KeyError(name)
    file.write(row["document"])
    evidence = _read(row["document"])
    if evidence is not None and evidence.kind == "missing":
        async for entry in _between(connection, code, evidence, row["found_at"]):
            file.write(f"{encode_base64(entry)}\n".encode())


async def judge_file(connection: Connection, code: str, file: BinaryIO) -> Conviction:
    """Return what a file proves under the keys that a log has or had; raise EvidenceError where it does not."""
    keys = [_verifier(row["key"]) for row in await connection.fetch(_KEYS, code)]
    return judge(file, [key for key in keys if key is not None])


async def signed_in_evidence(connection: Connection, code: str) -> set[tuple[int, bytes]]:
    """Return size and root of each checkpoint in the evidence against a log: its key has signed them all."""
    found: set[tuple[int, bytes]] = set()
    for row in await connection.fetch(_DOCUMENTS, code):
        evidence = _read(row["document"])
        for note in () if evidence is None else evidence.notes:
            checkpoint = read_checkpoint(note)
            found.add((checkpoint.size, checkpoint.root))
    return found


async def _between(connection: Connection, code: str, evidence: Evidence, found_at: datetime) -> AsyncIterator[bytes]:
    end = evidence.openings[0].position
    start = evidence.openings[1].position + 1 if len(evidence.openings) > 1 else 0
    for low in range(start, end, _PORTION):
        for row in await connection.fetch(_BETWEEN, code, low, min(low + _PORTION, end), found_at):
            if row["data"] is not None:
                yield row["data"]


def _read(document: bytes) -> Evidence | None:
    """Return a stored document, None for one in the form of an earlier version."""
    try:
        return read_evidence(Lines(BytesIO(document)))
    except EvidenceError:
        return None


def _verifier(text: str) -> Verifier | None:
    try:
        return parse_verifier(text)
    except NoteError:
        return None
