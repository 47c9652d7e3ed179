"""Timestamped Ed25519 cosignatures of checkpoints, `cosignature/v1` (C2SP tlog-cosignature, signature type 0x04).

A cosignature states that at its time the checkpoint was the largest consistent one its maker had seen of that log.
"""

from tomoni.tlog.keys import SIGNATURE_SIZE, NoteError, PrivateKey, key_type_of
from tomoni.tlog.merkle import MAX_SIZE
from tomoni.tlog.note import Signature, Verifier, add_signature, open_note, read_note

COSIGNATURE_V1 = 0x04
"""The signature type of a timestamped Ed25519 cosignature (C2SP signed-note, "Signature types")."""

MAX_TIME = MAX_SIZE
"""The largest POSIX time of a cosignature, 2^63 - 1 ("Format")."""

_TIME_SIZE = 8


class CosignatureVerifier(Verifier):
    """A key that verifies timestamped cosignatures (type 0x04)."""

    key_type = COSIGNATURE_V1

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether a `timestamped_signature` is this key's over the checkpoint text ("Ed25519 signed message")."""
        if len(signature) != _TIME_SIZE + SIGNATURE_SIZE:
            return False
        time = _time_of(signature)
        return time <= MAX_TIME and self.has_signed(_message(text, time), signature[_TIME_SIZE:])


class Cosigner(PrivateKey):
    """A key that cosigns checkpoints (type 0x04); it SHOULD NOT be the key of a log or of another cosigner."""

    key_type = COSIGNATURE_V1

    @property
    def verifier(self) -> CosignatureVerifier:
        """The public half."""
        return CosignatureVerifier(self.name, self.public_key)


def generate_cosigner(name: str) -> Cosigner:
    """Return a new random cosigner of that name."""
    return Cosigner.generate(name)


def parse_verifier(vkey: str) -> Verifier:
    """Return the verifier of a verifier key text of type 0x01 or 0x04; raise NoteError for any other."""
    match key_type_of(vkey):
        case 0x01:
            return Verifier.parse(vkey)
        case 0x04:
            return CosignatureVerifier.parse(vkey)
        case other:
            raise NoteError(f"keys of signature type {other:#04x} are not known here, only 0x01 and 0x04")


def make_cosignature(text: str, cosigner: Cosigner, time: int) -> Signature:
    """Return the cosignature of a checkpoint text at a POSIX time in seconds, as a witness answers it ("Format")."""
    if not 0 <= time <= MAX_TIME:
        raise NoteError("the time of a cosignature is between 0 and 2^63 - 1")
    signature = cosigner.sign(_message(text, time))
    return Signature(cosigner.name, cosigner.key_id, time.to_bytes(_TIME_SIZE, "big") + signature)


def cosign(note: bytes, cosigner: Cosigner, time: int) -> bytes:
    """Return a checkpoint note with one more line, the cosignature at a POSIX time in seconds.

    Nothing is verified but the form: what the cosigner states, its caller must have checked. Raises NoteError.
    """
    return add_signature(note, make_cosignature(read_note(note).text, cosigner, time))


def open_cosigned(note: bytes, verifier: CosignatureVerifier) -> int:
    """Return the POSIX time at which a key has cosigned a note, the latest where it did so more than once.

    Raises NoteError when it has not, or when one of its cosignatures is wrong.
    """
    open_note(note, [verifier])
    return max(
        _time_of(signature.data)
        for signature in read_note(note).signatures
        if (signature.name, signature.key_id) == (verifier.name, verifier.key_id)
    )


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _time_of(signature: bytes) -> int:
    return int.from_bytes(signature[:_TIME_SIZE], "big")
