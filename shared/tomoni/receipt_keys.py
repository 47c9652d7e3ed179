"""The federation's keys for receipts: each names the next, both sign that, and whoever knows one learns the others.

A receipt says that something was proven and kept by a time, and is believed for years. A key that was replaced goes on
to vouch for the receipts of its own time and for none after.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tomoni.events.canonical import encode
from tomoni.events.federation import ReceiptKeyProofs, ReceiptKeyRotated
from tomoni.events.types import Time, VerifierKey
from tomoni.key_names import receipt_key_name
from tomoni.times import parse_time
from tomoni.tlog.cosignature import CosignatureVerifier, Cosigner, open_cosigned
from tomoni.tlog.keys import NoteError

HEADER: Final = "Tomoni-Receipt-Keys"
"""Header of a receipt on the hub: every rotation, oldest first, as a JSON array."""
MAX_ROTATIONS: Final = 32
"""Rotations that a receipt carries, the newest; each has some 600 bytes."""
_DOMAIN: Final = b"tomoni-receipt-key-v1\n"


class RotationError(ValueError):
    """A rotation of the key for receipts does not hold; the text says why."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rotation, as the federation's own log has it and as receipts carry it."""

    receipt_key: VerifierKey
    replaces: VerifierKey
    time: Time
    proofs: ReceiptKeyProofs


def sign_rotation(federation: str, replaced: Cosigner, following: Cosigner, time: str) -> Rotation:
    """Return the rotation from one key to the next at a time, signed by both."""
    statement = _statement(federation, following.vkey, replaced.vkey, time)
    proofs = ReceiptKeyProofs(replaced=_text(replaced.sign(statement)), next=_text(following.sign(statement)))
    return Rotation(receipt_key=following.vkey, replaces=replaced.vkey, time=time, proofs=proofs)


def verify_rotation(federation: str, rotation: Rotation) -> None:
    """Check names and both signatures; raise RotationError where one does not hold."""
    statement = _statement(federation, rotation.receipt_key, rotation.replaces, rotation.time)
    for text, signature in (
        (rotation.replaces, rotation.proofs.replaced),
        (rotation.receipt_key, rotation.proofs.next),
    ):
        try:
            key = CosignatureVerifier.parse(text)
            proof = base64.b64decode(signature, validate=True)
        except (NoteError, binascii.Error) as error:
            raise RotationError("a key for receipts is a verifier key of cosignatures (C2SP, type 0x04)") from error
        if key.name != receipt_key_name(federation):
            raise RotationError(f"a key for receipts is named {receipt_key_name(federation)}")
        if not key.has_signed(statement, proof):
            raise RotationError("both keys for receipts have to sign that one follows on the other")


def rotation_of(event: ReceiptKeyRotated) -> Rotation:
    """Return the rotation that an event records."""
    data = event.data
    return Rotation(receipt_key=data.receipt_key, replaces=data.replaces, time=event.time, proofs=data.proofs)


def to_header(rotations: Sequence[Rotation]) -> dict[str, str]:
    """Return the headers of a receipt: none before the first rotation."""
    return {HEADER: msgspec.json.encode(rotations[-MAX_ROTATIONS:]).decode()} if rotations else {}


def from_header(text: str) -> tuple[Rotation, ...]:
    """Return the rotations of a header, not verified; raise RotationError where it is none."""
    try:
        return msgspec.json.decode(text, type=tuple[Rotation, ...])
    except msgspec.MsgspecError as error:
        raise RotationError("the header is no list of rotations") from error


def to_file(note: bytes, rotations: Sequence[Rotation]) -> bytes:
    """Return a receipt as it is carried by hand: the note, and before it, as on the hub, the header of the keys."""
    keys = "".join(f"{name}: {value}\n\n" for name, value in to_header(rotations).items())
    return keys.encode() + note


def from_file(data: bytes) -> tuple[bytes, tuple[Rotation, ...]]:
    """Return the receipt that a file holds and the rotations beside it, neither verified.

    Raises RotationError where what stands before the receipt is no list of rotations.
    """
    name = f"{HEADER}: ".encode()
    if not data.startswith(name):
        return data, ()
    header, _, note = data.removeprefix(name).partition(b"\n\n")
    return note, from_header(header.decode(errors="replace"))


class ReceiptKeys:
    """The keys for a federation's receipts: those that were given, and those that rotations join to them."""

    def __init__(self, federation: str, given: Iterable[CosignatureVerifier]) -> None:
        self._federation = federation
        self._until: dict[CosignatureVerifier, float | None] = dict.fromkeys(given)

    def __len__(self) -> int:
        return len(self._until)

    def learn(self, rotations: Sequence[Rotation]) -> None:
        """Take the keys that rotations join to a known one, before it and after it.

        Each joint has both signatures, so it holds in either direction. Raises RotationError for a false one, and for a
        second successor of one key: its thief has made that.
        """
        for rotation in (*rotations, *reversed(rotations)):
            replaced, following = (_parse(text) for text in (rotation.replaces, rotation.receipt_key))
            if not {replaced, following} & set(self._until):
                continue
            verify_rotation(self._federation, rotation)
            if self._until.get(replaced) is not None and following not in self._until:
                raise RotationError("the key for receipts was replaced by another already")
            self._until[replaced] = parse_time(rotation.time).timestamp()
            self._until.setdefault(following, None)

    def open(self, note: bytes) -> int:
        """Return the time at which a key has cosigned a note, in seconds since 1970, within that key's own time.

        Raises NoteError where none has.
        """
        wrong = NoteError("no known key for receipts has cosigned it")
        for key, until in reversed(self._until.items()):
            try:
                time = open_cosigned(note, key)
            except NoteError as error:
                wrong = error
                continue
            if until is not None and time > until:
                raise NoteError("the key for receipts was replaced before the time of this receipt")
            return time
        raise wrong


def _parse(text: str) -> CosignatureVerifier:
    try:
        return CosignatureVerifier.parse(text)
    except NoteError as error:
        raise RotationError("a key for receipts is a verifier key of cosignatures (C2SP, type 0x04)") from error


def _statement(federation: str, receipt_key: str, replaces: str, time: str) -> bytes:
    fields = {"federation": federation, "receipt_key": receipt_key, "replaces": replaces, "time": time}
    return _DOMAIN + encode(fields)


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode("ascii")
