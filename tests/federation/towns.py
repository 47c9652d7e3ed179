"""Towns as the wire shows them: a log with its keys, and the messages it would send. Everything is really signed."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from tomoni import times
from tomoni.documents import document_hash, new_handle
from tomoni.events import Event, encode_event
from tomoni.events import jurisdiction as j
from tomoni.events.canonical import encode
from tomoni.events.types import IssuerSet
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Signer, generate_signer
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind

FEDERATION = "tomoni.example"
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@dataclass
class Town:
    code: str
    log_key: Signer = None  # pyright: ignore[reportAssignmentType]
    heartbeat_key: Cosigner = None  # pyright: ignore[reportAssignmentType]
    entries: list[bytes] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.log_key = self.log_key or generate_signer(self.origin)
        self.heartbeat_key = self.heartbeat_key or generate_cosigner(f"{self.origin}/heartbeat")

    @property
    def origin(self) -> str:
        return f"{FEDERATION}/{self.code}"

    @property
    def size(self) -> int:
        return len(self.entries)

    def event(self, cls, data, subject, *, source=None, version=None, **fields) -> Event:
        version = version or self.versions.get(subject, 0) + 1
        self.versions[subject] = version
        return cls(
            id=str(uuid.uuid4()),
            source=source or self.origin,
            subject=subject,
            time=times.format_time(NOW),
            data=data(version=version, **fields),
        )

    def append(self, *entries: bytes | Event) -> int:
        self.entries.extend(one if isinstance(one, bytes) else encode_event(one) for one in entries)
        return self.size

    def issue(self, *, kind="partnership", certified_on=date(2026, 4, 1), **fields) -> tuple[str, str]:
        """Append a certificate; return its identity and its handle."""
        certificate, handle = str(uuid.uuid4()), new_handle()
        self.documents[certificate] = document_hash(self.code, handle)
        self.append(
            self.event(
                j.CertificateIssued,
                j.CertificateIssuedData,
                f"certificate/{certificate}",
                kind=kind,
                document=self.documents[certificate],
                certified_on=certified_on,
                **fields,
            )
        )
        return certificate, handle

    def revoke(self, certificate, *, effect="ended", effective_on=date(2026, 5, 1), **fields):
        subject = f"certificate/{certificate}"
        self.append(
            self.event(
                j.CertificateRevoked,
                j.CertificateRevokedData,
                subject,
                effect=effect,
                effective_on=effective_on,
                **fields,
            )
        )

    def reinstate(self, certificate):
        subject = f"certificate/{certificate}"
        self.append(
            self.event(j.CertificateReinstated, j.CertificateReinstatedData, subject, reinstated_on=date(2026, 6, 1))
        )

    def reissue(self, certificate) -> str:
        handle = new_handle()
        replaces, self.documents[certificate] = self.documents[certificate], document_hash(self.code, handle)
        self.append(
            self.event(
                j.CertificateReissued,
                j.CertificateReissuedData,
                f"certificate/{certificate}",
                document=self.documents[certificate],
                replaces=replaces,
                reissued_on=date(2026, 7, 1),
            )
        )
        return handle

    def declare(self, *codes, **fields) -> str:
        arrangement = str(uuid.uuid4())
        terms = {
            "pattern": "E",
            "issuers": IssuerSet(codes=codes) if codes else fields.pop("issuers"),
            "kinds": ("partnership",),
            "services": ("public-housing",),
            "effective_from": date(2026, 4, 1),
        }
        self.append(
            self.event(
                j.ArrangementDeclared,
                j.ArrangementDeclaredData,
                f"arrangement/{arrangement}",
                **(terms | fields),
            )
        )
        return arrangement

    def withdraw(self, arrangement, effective_on=date(2026, 10, 1)):
        self.append(
            self.event(
                j.ArrangementWithdrawn,
                j.ArrangementWithdrawnData,
                f"arrangement/{arrangement}",
                effective_on=effective_on,
            )
        )

    def rotate(self) -> Signer:
        """Announce the next key and return the old one; checkpoints from now on are by the new."""
        old, self.log_key = self.log_key, generate_signer(self.origin)
        self.append(self.event(j.KeyRotated, j.KeyRotatedData, "key", log_key=self.log_key.vkey))
        return old

    def checkpoint_at(self, size=None) -> Checkpoint:
        grown = CompactRange()
        grown.extend(leaf_hash(entry) for entry in self.entries[:size])
        return Checkpoint(self.origin, grown.size, grown.root())

    def note(self, size=None, *, signers=None) -> bytes:
        return sign_checkpoint(self.checkpoint_at(size), signers or [self.log_key])

    def entry_message(self, position, data=None) -> RawMessage:
        return RawMessage(self.code, Kind.ENTRY, position, self.entries[position] if data is None else data, "")

    def checkpoint_message(self, size=None, *, signers=None, note=None) -> RawMessage:
        return RawMessage(self.code, Kind.CHECKPOINT, size or self.size, note or self.note(size, signers=signers), "")

    def messages(self, start=0, size=None) -> list[RawMessage]:
        """Return what the relay sends from a position on: the entries in order, then the checkpoint."""
        size = self.size if size is None else size
        return [*(self.entry_message(position) for position in range(start, size)), self.checkpoint_message(size)]

    def heartbeat(self, at=NOW, size=None, *, cosigner=None) -> RawMessage:
        note = sign_checkpoint(
            self.checkpoint_at(size), [self.log_key], [cosigner or self.heartbeat_key], int(at.timestamp())
        )
        return RawMessage(self.code, None, None, note, "")


def unknown_event(town: Town, subject: str | None) -> bytes:
    attributes = {"id": str(uuid.uuid4()), "source": town.origin, "specversion": "1.0", "type": "jp.tomoni.new.made.v9"}
    return encode(attributes | ({} if subject is None else {"subject": subject}))
