"""A log of the federation in memory, served as a log is served."""

import base64
import uuid

from tomoni import nkey
from tomoni.events import encode_event
from tomoni.events.federation import (
    JurisdictionAdmitted,
    JurisdictionAdmittedData,
    JurisdictionQuarantined,
    JurisdictionQuarantinedData,
    JurisdictionReadmitted,
    JurisdictionReadmittedData,
    JurisdictionSuspended,
    JurisdictionSuspendedData,
    JurisdictionTransportKeyAccepted,
    JurisdictionTransportKeyAcceptedData,
    JurisdictionTransportKeyRetired,
    JurisdictionTransportKeyRetiredData,
    PossessionProofs,
    TransportKeyProofs,
)
from tomoni.events.jurisdiction import KeyRotated, KeyRotatedData
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Signer, generate_signer
from tomoni.tlog.notes import join_notes
from tomoni.tlog.tiles import encode_bundle, parse_path

NAME = "tomoni.example"
ORIGIN = f"{NAME}/federation"
TIME = "2026-11-23T03:38:36.000000Z"
SIGNATURE = base64.b64encode(bytes(64)).decode()
PROOFS = PossessionProofs(log=SIGNATURE, heartbeat=SIGNATURE, transport=SIGNATURE)


class FederationLog:
    """Entries, and a fetch that serves them under a checkpoint of whoever signs."""

    def __init__(self, entries: list[bytes] | None = None) -> None:
        self.signer = generate_signer(ORIGIN)
        self.entries = entries or []
        self.fetched: list[str] = []
        self.away = False
        self.notes: list[bytes] = []
        """The checkpoints that were signed on the way to the newest one."""

    @property
    def verifier(self):
        return self.signer.verifier

    def checkpoint(self, *signers: Signer) -> bytes:
        tree = CompactRange()
        tree.extend(leaf_hash(entry) for entry in self.entries)
        return sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), signers or [self.signer])

    def rotate(self, *, by: str = "both") -> Signer:
        """Announce the next key and sign the checkpoint over that; return the key before."""
        old, self.signer = self.signer, generate_signer(ORIGIN)
        data = KeyRotatedData(version=1, log_key=self.signer.vkey)
        event = KeyRotated(id=str(uuid.uuid4()), source=ORIGIN, subject="key", time=TIME, data=data)
        self.entries.append(encode_event(event))
        self.notes.append(self.checkpoint(*{"both": (old, self.signer), "old": (old,), "new": (self.signer,)}[by]))
        return old

    async def fetch(self, path: str) -> bytes:
        if self.away:
            raise OSError("away")
        self.fetched.append(path)
        if path == "checkpoint":
            return self.checkpoint()
        if path.startswith("checkpoints"):
            after = int(path.partition("=")[2])
            return join_notes(note for note in self.notes if int(note.split(b"\n")[1]) > after)
        bundle = parse_path(path)
        return encode_bundle(self.entries[bundle.index * 256 : bundle.index * 256 + bundle.width])


def _envelope(code: str) -> dict[str, str]:
    return {"id": str(uuid.uuid4()), "source": ORIGIN, "subject": f"jurisdiction/{code}", "time": TIME}


def admitted(code: str, key: str, version: int = 1) -> bytes:
    data = JurisdictionAdmittedData(
        version=version, code=code, log_key="log", heartbeat_key="beat", transport_key=key, proofs=PROOFS
    )
    return encode_event(JurisdictionAdmitted(**_envelope(code), data=data))


def suspended(code: str, version: int = 2) -> bytes:
    return encode_event(
        JurisdictionSuspended(**_envelope(code), data=JurisdictionSuspendedData(version=version, from_size=0))
    )


def quarantined(code: str, version: int = 2) -> bytes:
    data = JurisdictionQuarantinedData(version=version, evidence="0" * 64, proven_size=0)
    return encode_event(JurisdictionQuarantined(**_envelope(code), data=data))


def readmitted(code: str, key: str, version: int = 3) -> bytes:
    data = JurisdictionReadmittedData(
        version=version, from_size=0, log_key="log", heartbeat_key="beat", transport_key=key, proofs=PROOFS
    )
    return encode_event(JurisdictionReadmitted(**_envelope(code), data=data))


def accepted(code: str, key: str, following: str, version: int = 2) -> bytes:
    proofs = TransportKeyProofs(log=SIGNATURE, transport=SIGNATURE)
    data = JurisdictionTransportKeyAcceptedData(version=version, transport_key=following, replaces=key, proofs=proofs)
    return encode_event(JurisdictionTransportKeyAccepted(**_envelope(code), data=data))


def retired(code: str, key: str, version: int = 3) -> bytes:
    data = JurisdictionTransportKeyRetiredData(version=version, transport_key=key)
    return encode_event(JurisdictionTransportKeyRetired(**_envelope(code), data=data))


def new_key() -> str:
    return nkey.public_nkey(nkey.generate_seed())
