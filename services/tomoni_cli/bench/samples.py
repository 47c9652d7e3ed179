"""What the benchmark works on: entries as a town writes them, the same in every run."""

import datetime
import hashlib
import uuid
from collections.abc import Sequence

from tomoni.events import encode_event, stream_of
from tomoni.events.jurisdiction import (
    CertificateIssued,
    CertificateIssuedData,
    CertificateRevoked,
    CertificateRevokedData,
)
from tomoni.events.types import Kind as CertificateKind
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hashes
from tomoni.tlog.note import Signer, generate_signer
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind

FEDERATION = "bench.example"
DAY = datetime.date(2026, 10, 1)
TIME = "2026-10-01T01:02:03.456789Z"
KIND: CertificateKind = "partnership"


def certificate_subject(code: str, number: int) -> str:
    """Return the stream of the sample certificate of a number."""
    return stream_of("certificate", str(_uuid(code, number, "certificate")))


def document_of(code: str, number: int) -> str:
    """Return the document hash of the sample certificate of a number."""
    return hashlib.sha256(f"{code}/{number}".encode()).hexdigest()


def issued_entry(code: str, number: int, document: str | None = None) -> bytes:
    """Return the entry of a sample certificate being issued, about 380 bytes."""
    return encode_event(
        CertificateIssued(
            id=str(_uuid(code, number, "event")),
            source=f"{FEDERATION}/{code}",
            subject=certificate_subject(code, number),
            time=TIME,
            data=CertificateIssuedData(
                version=1, kind=KIND, document=document or document_of(code, number), certified_on=DAY
            ),
        )
    )


def revoked_entry(code: str, number: int) -> bytes:
    """Return the entry of a sample certificate having ended."""
    return encode_event(
        CertificateRevoked(
            id=str(_uuid(code, number, "end")),
            source=f"{FEDERATION}/{code}",
            subject=certificate_subject(code, number),
            time=TIME,
            data=CertificateRevokedData(version=2, effect="ended", effective_on=DAY),
        )
    )


def issued_entries(count: int, code: str = "131130") -> list[bytes]:
    """Return so many entries, each of a certificate of its own."""
    return [issued_entry(code, number) for number in range(count)]


class SampleLog:
    """A town's log as the hub hands it out: portions of entries, each with the checkpoint that proves it."""

    def __init__(self, code: str, signer: Signer | None = None) -> None:
        self.code = code
        self.signer = signer or generate_signer(f"{FEDERATION}/{code}")
        self._tree = CompactRange()

    def portion(self, entries: Sequence[bytes]) -> list[RawMessage]:
        """Append entries; return them and the checkpoint."""
        start = self._tree.size
        self._tree.extend(leaf_hashes(entries))
        checkpoint = Checkpoint(f"{FEDERATION}/{self.code}", self._tree.size, self._tree.root())
        note = sign_checkpoint(checkpoint, [self.signer])
        found = [RawMessage(self.code, Kind.ENTRY, position, data, "") for position, data in enumerate(entries, start)]
        return [*found, RawMessage(self.code, Kind.CHECKPOINT, self._tree.size, note, "")]


def _uuid(code: str, number: int, what: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{what}/{code}/{number}")
