"""Which documents are affected: what a log said after a size, and counts no more, or would not after a suspension.

A document is named as events name it, by its hash, and by its certificate. Only a holder, or the town that issued it,
can tell whose it is: handles and names never leave a town.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tomoni.database import Connection
from tomoni.events import EventError, UnknownEvent, decode_event
from tomoni.events import jurisdiction as j

TAKEN_BACK: Final = """
SELECT d.position, d.data FROM mirror.disowned d WHERE d.log = $1 AND NOT EXISTS (
    SELECT 1 FROM mirror.entry e WHERE e.log = d.log AND e.position = d.position AND e.data = d.data
) ORDER BY d.position, d.disowned_at
"""
"""Without what the town has written again, byte for byte, since it was readmitted."""
FROM_SIZE: Final = "SELECT position, data FROM mirror.entry WHERE log = $1 AND position >= $2 ORDER BY position"
_DOCUMENTS: Final = """
SELECT certificate::text, encode(document, 'hex') AS document FROM projection.document
WHERE log = $1 AND certificate = ANY($2::uuid[]) ORDER BY document
"""
_CERTIFICATE: Final = re.compile(r"certificate/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class AffectedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, and what was said of it that counts no more."""

    certificate: str
    documents: tuple[str, ...]
    """Hashes, `SHA-256("tomoni-document-v1" ‖ code ‖ handle)`, of the documents issued before that size and after."""
    events: tuple[str, ...]
    """Types, in the order of the log: `issued`, `revoked` …"""
    first_position: int
    issued_after: bool
    """Whether nothing that counts has issued it: then its documents are not found once the doubt is over."""


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """What entries that do not count were about."""

    certificates: tuple[AffectedCertificate, ...]
    others: tuple[str, ...]
    """Other subjects: arrangements, memberships, the scheme, the key. An unreadable entry by its position."""


@dataclass(slots=True)
class _Touched:
    first: int
    events: list[str] = field(default_factory=list[str])
    documents: list[str] = field(default_factory=list[str])


async def affected(connection: Connection, code: str, from_size: int | None) -> Affected:
    """Return what was taken out of a log's history (None), or what a suspension from a size on would take out."""
    query, arguments = (TAKEN_BACK, (code,)) if from_size is None else (FROM_SIZE, (code, from_size))
    touched: dict[str, _Touched] = {}
    others: dict[str, None] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for position, data in connection.cursor(query, *arguments, prefetch=2_000):
            _see(touched, others, position, data)
        rows = await connection.fetch(_DOCUMENTS, code, list(touched))
    for row in rows:
        if row["document"] not in touched[row["certificate"]].documents:
            touched[row["certificate"]].documents.append(row["document"])
    found = [_certificate(identity, one) for identity, one in touched.items()]
    return Affected(certificates=tuple(found), others=tuple(others))


def _see(touched: dict[str, _Touched], others: dict[str, None], position: int, data: bytes) -> None:
    try:
        event = decode_event(data)
    except EventError:
        others[f"the entry at position {position}, which is no event"] = None
        return
    subject = event.subject or "the whole log"
    if (found := _CERTIFICATE.fullmatch(subject)) is None:
        others[subject] = None
        return
    one = touched.setdefault(found[1], _Touched(position))
    if isinstance(event, UnknownEvent):
        one.events.append(event.type)
        return
    tag = str(type(event).__struct_config__.tag)
    one.events.append(tag.removeprefix("jp.tomoni.certificate.").rpartition(".")[0])
    if isinstance(event, j.CertificateIssued | j.CertificateReissued):
        one.documents.append(event.data.document)


def _certificate(identity: str, one: _Touched) -> AffectedCertificate:
    return AffectedCertificate(
        certificate=identity,
        documents=tuple(one.documents),
        events=tuple(one.events),
        first_position=one.first,
        issued_after="issued" in one.events,
    )
