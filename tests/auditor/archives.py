"""Folders of histories as an auditor has them, put together without the code under test; everything really signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from tests.federation.towns import FEDERATION, NOW, Town
from tests.tlog import reference
from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.events import federation as f
from tomoni.receipt_keys import sign_rotation
from tomoni.times import format_time
from tomoni.tlog.checkpoint import sign_checkpoint
from tomoni.tlog.cosignature import Cosigner, cosign, generate_cosigner
from tomoni_federation.mirror.api import HEARTBEAT


def write_files(folder: Path, entries: Sequence[bytes]) -> None:
    """Write the tiles and bundles of a log."""
    for start in range(0, len(entries), 256):
        part = entries[start : start + 256]
        bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
        reference.put(folder, f"tile/entries/{reference.name(start // 256, len(part))}", bundle)
    level, row = 0, [reference.sha256(b"\x00" + entry) for entry in entries]
    while row:
        for start in range(0, len(row), 256):
            part = row[start : start + 256]
            reference.put(folder, f"tile/{level}/{reference.name(start // 256, len(part))}", b"".join(part))
        row = [reference.over(row[start : start + 256]) for start in range(0, len(row) - 255, 256)]
        level += 1


def write_log(place: Path, entries: Sequence[bytes], note: bytes, receipts=(), heartbeat=None, checkpoints=()) -> None:
    """Write everything of a log: tiles, bundles, its newest checkpoint and the notes beside it."""
    write_files(place, entries)
    reference.put(place, "checkpoint", note)
    for name, notes in (("checkpoints", checkpoints), ("receipts", receipts)):
        if notes:
            put_notes(place, name, notes)
    if heartbeat is not None:
        reference.put(place, "heartbeat", heartbeat)


def put_notes(place: Path, name: str, notes: Sequence[bytes]) -> None:
    """Write a file of notes."""
    reference.put(place, name, b"".join(one + b"\n" for one in notes))


def write_town(folder: Path, town: Town, cosigner=None, received=()) -> Path:
    """Write a town's log; `received` has the sizes that had receipts, with their times."""
    receipts = [cosign(town.note(size), cosigner, int(at.timestamp())) for size, at in received]
    write_log(folder / town.code, town.entries, town.note(), receipts)
    return folder


async def write_mirror(folder: Path, federation, *towns: Town) -> Path:
    """Write what a federation's database holds: its own log, and each town's with the receipts it gave."""
    pool = federation.pool
    own = Town("federation")
    own.append(*[row["data"] for row in await pool.fetch("SELECT data FROM log.entry ORDER BY position")])
    write_log(folder / own.code, own.entries, own.note())
    for town in towns:
        query = "SELECT receipt FROM mirror.checkpoint WHERE log = $1 AND receipt IS NOT NULL ORDER BY size"
        receipts = [row["receipt"] for row in await pool.fetch(query, town.code)]
        entries = await federation.mirrored(town)
        note = await pool.fetchval(HEARTBEAT, town.code)
        write_log(folder / town.code, entries, town.note(len(entries)), receipts, note)
    return folder


@dataclass
class Archive:
    """A federation and its towns, and the folder that an auditor has of them."""

    folder: Path
    federation: Town = field(default_factory=lambda: Town("federation"))
    cosigner: Cosigner = field(default_factory=lambda: generate_cosigner(f"{FEDERATION}/receipts"))
    notes: dict[str, list[bytes]] = field(default_factory=dict)
    receipts: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """What an auditor is given: the key of the federation's log and its key for receipts."""
        return [self.federation.log_key.vkey, self.cosigner.vkey]

    def admit(self, town: Town) -> Town:
        request = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, nkey.generate_seed())
        self.federation.append(
            self.federation.event(
                f.JurisdictionAdmitted,
                f.JurisdictionAdmittedData,
                f"jurisdiction/{town.code}",
                code=town.code,
                log_key=request.log_key,
                heartbeat_key=request.heartbeat_key,
                transport_key=request.transport_key,
                proofs=request.proofs,
            )
        )
        return town

    def suspend(self, town: Town, from_size: int) -> None:
        subject = f"jurisdiction/{town.code}"
        cls, data = f.JurisdictionSuspended, f.JurisdictionSuspendedData
        self.federation.append(self.federation.event(cls, data, subject, from_size=from_size))

    def quarantine(self, town: Town, evidence: str) -> None:
        subject = f"jurisdiction/{town.code}"
        cls, data = f.JurisdictionQuarantined, f.JurisdictionQuarantinedData
        self.federation.append(self.federation.event(cls, data, subject, evidence=evidence, proven_size=town.size))

    def readmit(self, town: Town, from_size: int, **branch) -> None:
        """Let a town go on from a size with the keys it has now."""
        request = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, nkey.generate_seed())
        self.federation.append(
            self.federation.event(
                f.JurisdictionReadmitted,
                f.JurisdictionReadmittedData,
                f"jurisdiction/{town.code}",
                from_size=from_size,
                log_key=request.log_key,
                heartbeat_key=request.heartbeat_key,
                transport_key=request.transport_key,
                proofs=request.proofs,
                **({"branch": f.Branch(**branch)} if branch else {}),
            )
        )

    def rotate_receipt_key(self, *, forged: bool = False) -> None:
        """Record the next key for receipts; receipts from now on are by it."""
        minutes = 1 + sum(map(len, self.notes.values()))
        time = format_time(NOW + timedelta(minutes=minutes))
        replaced, self.cosigner = self.cosigner, generate_cosigner(f"{FEDERATION}/receipts")
        rotation = sign_rotation(FEDERATION, replaced, self.cosigner, time)
        if forged:
            rotation = sign_rotation(FEDERATION, self.cosigner, self.cosigner, time)
        event = self.federation.event(
            f.ReceiptKeyRotated,
            f.ReceiptKeyRotatedData,
            "receipt-key",
            receipt_key=self.cosigner.vkey,
            replaces=replaced.vkey,
            proofs=rotation.proofs,
        )
        self.federation.append(msgspec.structs.replace(event, time=time))

    def sign(self, town: Town, size: int | None = None, *, signers=None, receipt: bool = True) -> bytes:
        """Sign a checkpoint of a town, and give a receipt for it."""
        note = town.note(size, signers=signers)
        of_town = self.notes.setdefault(town.code, [])
        of_town.append(note)
        if receipt:
            at = int((NOW + timedelta(minutes=len(of_town))).timestamp())
            self.receipts.setdefault(town.code, []).append(cosign(note, self.cosigner, at))
        return note

    def write(self, *towns: Town) -> None:
        """Write the folder: the federation's own log, and each town's up to its last checkpoint."""
        for town in (self.federation, *towns):
            if town.code not in self.notes:
                self.sign(town, receipt=town is not self.federation)
            notes = self.notes[town.code]
            place = self.folder / town.code
            size = int(notes[-1].split(b"\n")[1])
            beat = None
            if town is not self.federation:
                signed = town.checkpoint_at(size)
                beat = sign_checkpoint(signed, [town.log_key], [town.heartbeat_key], int(NOW.timestamp()))
            write_log(place, town.entries[:size], notes[-1], self.receipts.get(town.code, ()), beat, notes)


def lively(code: str, lives: int) -> Town:
    """Return a town with lives of certificates, arrangements and a network, five entries and more each."""
    town = Town(code)
    for _ in range(lives):
        certificate, _ = town.issue()
        town.revoke(certificate)
        town.reinstate(certificate)
        town.reissue(certificate)
        town.withdraw(town.declare("131121" if code != "131121" else "131130"))
    return town
