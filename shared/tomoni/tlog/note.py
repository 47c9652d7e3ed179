"""Signed notes: text with signature lines below it (C2SP signed-note).

Reading is strict, because whatever a parser lets pass unseen another may read otherwise: the whole note must have the
form of the specification, every signature line included, before one signature is looked at.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tomoni.tlog.encoding import decode_base64, encode_base64
from tomoni.tlog.keys import SIGNATURE_SIZE, NoteError, PrivateKey, PublicKey, check_name

MAX_NOTE_SIZE = 1_000_000
"""Bytes of the largest note read; verifiers SHOULD have such a limit ("Format")."""

MAX_SIGNATURES = 100
"""Signature lines of the longest note read; at least 16 MUST be accepted ("Format")."""

ED25519 = 0x01
"""The signature type of an Ed25519 signature over the text of a note ("Signature types")."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH = "\u2014 "
_KEY_ID_SIZE = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: the name and the id of the key that is said to have made it, and its bytes after the id."""

    name: str
    key_id: bytes
    data: bytes

    def to_line(self) -> str:
        """Return the line `— name base64(key id ‖ signature)`, with its newline ("Signatures")."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.data)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as read, of which nothing is verified: whoever holds one knows the form is right, and no more."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note with at least one verified signature, and none of a known key that is wrong.

    `verified` names each known key that signed once, as (name, key id); `unverified` the unknown keys, one a line.
    """

    text: str
    verified: tuple[tuple[str, bytes], ...]
    unverified: tuple[tuple[str, bytes], ...]


class Verifier(PublicKey):
    """A key that verifies Ed25519 signatures over the text of notes (type 0x01)."""

    key_type = ED25519

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether the bytes after the key id in a signature line are this key's signature over the text."""
        return len(signature) == SIGNATURE_SIZE and self.has_signed(text.encode(), signature)


class Signer(PrivateKey):
    """A key that signs the text of notes with Ed25519 (type 0x01)."""

    key_type = ED25519

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.public_key)


def generate_signer(name: str) -> Signer:
    """Return a new random signer of that name."""
    return Signer.generate(name)


def sign_note(text: str, signers: Sequence[Signer]) -> bytes:
    """Return the note of a text that ends in a newline, with one signature line for each signer, in their order.

    Raises NoteError for a text that no note may have, or without a signer.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteError("the text of a note ends in a newline and has no other control characters")
    if not 0 < len(signers) <= MAX_SIGNATURES:
        raise NoteError(f"a note is signed by one to {MAX_SIGNATURES} keys")
    message = text.encode()
    lines = [Signature(signer.name, signer.key_id, signer.sign(message)).to_line() for signer in signers]
    return message + b"\n" + "".join(lines).encode()


def add_signature(data: bytes, signature: Signature) -> bytes:
    """Return a note with one more signature line; raise NoteError when the bytes are no note or it has no room."""
    read_note(data)
    cosigned = data + signature.to_line().encode()
    read_note(cosigned)
    return cosigned


def without_strangers(data: bytes, own: Callable[[Signature], bool]) -> bytes:
    """Return a note with the signature lines that are `own`: anybody can add others, which tell nobody anything."""
    note = read_note(data)
    lines = [signature.to_line() for signature in note.signatures if own(signature)]
    return f"{note.text}\n{''.join(lines)}".encode()


def read_note(data: bytes) -> Note:
    """Return the parts of a note without verifying any signature; raise NoteError when the form is wrong ("Format")."""
    if len(data) > MAX_NOTE_SIZE:
        raise NoteError(f"the note is longer than {MAX_NOTE_SIZE} bytes")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError("the note is not UTF-8") from error
    if _CONTROL.search(content):
        raise NoteError("the note has control characters other than newlines")
    text, blank, lines = content.rpartition("\n\n")
    if not blank:
        raise NoteError("no blank line separates the text of the note from its signatures")
    if not lines.endswith("\n"):
        raise NoteError("the note has no signatures, or the last line of it does not end in a newline")
    if lines.count("\n") > MAX_SIGNATURES:
        raise NoteError(f"the note has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines[:-1].split("\n")))


def open_note(data: bytes, verifiers: Sequence[Verifier]) -> OpenedNote:
    """Return a note whose signatures by the keys given are right ("Signatures").

    Signatures of other keys are ignored, also where they share a name or an id with a key given. Raises NoteError for
    a malformed note, for one wrong signature of a known key, and when no known key has signed.
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise NoteError("two of the known keys have the same name and the same id")
    note = read_note(data)
    verified: dict[tuple[str, bytes], None] = {}  # an ordered set: who signs twice has still signed once
    unverified: list[tuple[str, bytes]] = []
    for signature in note.signatures:
        who = (signature.name, signature.key_id)
        verifier = known.get(who)
        if verifier is None:
            unverified.append(who)
        elif verifier.verifies(note.text, signature.data):
            verified[who] = None
        else:
            raise NoteError(f"a signature of {verifier.name} is wrong")
    if not verified:
        raise NoteError("no known key has signed the note")
    return OpenedNote(note.text, tuple(verified), tuple(unverified))


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise NoteError("a signature line does not begin with an em dash and a space")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        data = decode_base64(encoded)
    except ValueError as error:
        raise NoteError("a signature is not canonical base64") from error
    if len(data) <= _KEY_ID_SIZE:
        raise NoteError("a signature is empty")
    return Signature(check_name(name), data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:])
