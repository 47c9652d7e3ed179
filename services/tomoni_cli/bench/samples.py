"""What the benchmark works on: entries as a town writes them, the same in every run."""

import datetime
import hashlib
import uuid

from tomoni.events import encode_event, stream_of
from tomoni.events.jurisdiction import CertificateIssued, CertificateIssuedData
from tomoni.events.types import Kind

FEDERATION = "bench.example"
DAY = datetime.date(2026, 10, 1)
KIND: Kind = "partnership"


def certificate_subject(code: str, number: int) -> str:
    """Return the stream of the sample certificate of a number."""
    return stream_of("certificate", str(_uuid(code, number, "certificate")))


def document_of(code: str, number: int) -> str:
    """Return the document hash of the sample certificate of a number."""
    return hashlib.sha256(f"{code}/{number}".encode()).hexdigest()


def issued_entry(code: str, number: int, federation: str = FEDERATION) -> bytes:
    """Return the entry of a sample certificate being issued, about 380 bytes."""
    return encode_event(
        CertificateIssued(
            id=str(_uuid(code, number, "event")),
            source=f"{federation}/{code}",
            subject=certificate_subject(code, number),
            time="2026-10-01T01:02:03.456789Z",
            data=CertificateIssuedData(version=1, kind=KIND, document=document_of(code, number), certified_on=DAY),
        )
    )


def issued_entries(count: int, code: str = "131130") -> list[bytes]:
    """Return so many entries, each of a certificate of its own."""
    return [issued_entry(code, number) for number in range(count)]


def _uuid(code: str, number: int, what: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{what}/{code}/{number}")
