"""The form of an evidence file, version 1: lines of text, each value in its one form, the signed notes as they are.

    tomoni.jp/evidence@v1
    <kind>
    <what the kind needs: `root <base64>`, `entry <position> <base64>`, and the hashes of proofs, one a line>

    <a signed note of the log (C2SP signed-note), followed by an empty line>
    <a second one, followed by an empty line, where the kind has two>
    <only `missing`: entries in base64, one a line, to the end of the file>

Nothing in it explains itself: what it proves is worked out by whoever reads it (`judging`). The file without the
entries at its end is the *document*, whose SHA-256 names the evidence in the federation's own log.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final, Literal, NamedTuple, get_args

from tomoni.tlog.encoding import decode_base64, encode_base64, parse_decimal
from tomoni.tlog.merkle import HASH_SIZE
from tomoni.tlog.notes import join_notes

HEADER: Final = "tomoni.jp/evidence@v1"
"""The first line."""

MAX_HASHES: Final = 64
"""Hashes of the longest proof: no tree is higher, and a consistency proof can have one more."""

MAX_ENTRIES: Final = 2

MAX_LINE: Final = 100_000
"""Bytes of the longest line read: the longest entry in base64 with its position."""

Kind = Literal["fork", "shrinking", "illegal-entry", "repeated", "missing"]
"""Two checkpoints of which at most one can be true; two heartbeats of which the later one has fewer entries; an entry
that no log of this kind may hold; one whose version, or whose issue, was there before; one that goes on from nothing.
"""


class EvidenceError(ValueError):
    """A file is no evidence, or does not convince; `first` and `last` are the lines at fault, counted from 1."""

    def __init__(self, first: int, last: int, text: str) -> None:
        lines = f"line {first}" if first == last else f"lines {first} to {last}"
        super().__init__(f"{lines}: {text}")
        self.first = first
        self.last = last
        self.text = text


class Opening(NamedTuple):
    """An entry with its inclusion proof (RFC 6962 §2.1.1)."""

    position: int
    entry: bytes
    proof: tuple[bytes, ...]

    @property
    def lines(self) -> int:
        """How many lines it takes."""
        return 1 + len(self.proof)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The document of an evidence file as it is written: nothing of it is verified."""

    kind: Kind
    notes: tuple[bytes, ...]
    root: bytes | None = None
    """`fork` of two sizes: the root that the history of the larger one has at the smaller size."""
    proof: tuple[bytes, ...] = ()
    """And the consistency proof that shows it (RFC 6962 §2.1.2)."""
    openings: tuple[Opening, ...] = ()
    """The entry that is illegal, then the earlier one that makes it so, where the kind has one."""

    @property
    def hash(self) -> str:
        """What names this evidence in the federation's own log, in hex."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the document."""
        lines = [HEADER, self.kind]
        if self.root is not None:
            lines += [f"root {encode_base64(self.root)}", *map(encode_base64, self.proof)]
        for opening in self.openings:
            lines.append(f"entry {opening.position} {encode_base64(opening.entry)}")
            lines += map(encode_base64, opening.proof)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + join_notes(self.notes)

    def span(self, part: int) -> tuple[int, int]:
        """Return the first and the last line of an opening, or with -1 of the root and its proof."""
        first = 3
        if part < 0:
            return first, first + len(self.proof)
        first += sum(opening.lines for opening in self.openings[:part])
        return first, first + self.openings[part].lines - 1

    def span_of_note(self, number: int) -> tuple[int, int]:
        """Return the first and the last line of a note, the empty line after it counted in."""
        before = 2 + sum(opening.lines for opening in self.openings) + 1
        before += 0 if self.root is None else 1 + len(self.proof)
        lines = [note.count(b"\n") + 1 for note in self.notes]
        first = before + sum(lines[:number]) + 1
        return first, first + lines[number] - 1


_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in get_args(Kind)}

_NOTES: Final[dict[Kind, tuple[int, int]]] = {"fork": (2, 1), "shrinking": (2, 2)}
"""How many notes a kind has, and how many signatures each of them; the others have one with one."""


class Lines:
    """A file read line by line, each with its number; a line of any other form than its own is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def next(self) -> str | None:
        """Return the next line without its end, None at the end of the file."""
        line = self._file.readline(MAX_LINE + 1)
        if not line:
            return None
        self.number += 1
        if len(line) > MAX_LINE:
            raise self.fault(f"a line has at most {MAX_LINE} bytes")
        if not line.endswith(b"\n"):
            raise self.fault("the file ends within this line")
        try:
            return line[:-1].decode()
        except UnicodeDecodeError as error:
            raise self.fault("the line is not text in UTF-8") from error

    def must(self) -> str:
        """Return the next line; raise EvidenceError at the end of the file."""
        line = self.next()
        if line is None:
            raise EvidenceError(self.number + 1, self.number + 1, "the file ends where a line should follow")
        return line

    def end_of_part(self) -> None:
        """Read an empty line; raise EvidenceError where the next one is another."""
        if self.must():
            raise self.fault("the line should be empty")

    def fault(self, text: str) -> EvidenceError:
        """Return that the line read last is wrong."""
        return EvidenceError(self.number, self.number, text)


def read_evidence(lines: Lines) -> Evidence:
    """Return the document that a file begins with, and leave what follows it unread; raise EvidenceError."""
    if lines.must() != HEADER:
        raise lines.fault(f"the line is not {HEADER}")
    kind = _KINDS.get(lines.must())
    if kind is None:
        raise lines.fault(f"the line is none of {', '.join(_KINDS)}")
    root: bytes | None = None
    proof: list[bytes] = []
    openings: list[tuple[int, bytes, list[bytes]]] = []
    hashes: list[bytes] = proof
    while line := lines.must():
        word, space, rest = line.partition(" ")
        if word == "entry" and space:
            path: list[bytes] = []
            openings.append((*_entry(lines, rest), path))
            hashes = path
        elif word == "root" and space and root is None and not openings:
            root = _hash(lines, rest)
        else:
            hashes.append(_hash(lines, line))
        if len(hashes) > MAX_HASHES or len(openings) > MAX_ENTRIES:
            raise lines.fault(f"there are at most {MAX_ENTRIES} entries, each proven by at most {MAX_HASHES} hashes")
    if proof and root is None:
        raise lines.fault("a proof has come before, and nothing that it proves")
    count, signatures = _NOTES.get(kind, (1, 1))
    notes = tuple(_note(lines, signatures) for _ in range(count))
    return Evidence(
        kind=kind,
        notes=notes,
        root=root,
        proof=tuple(proof),
        openings=tuple(Opening(position, entry, tuple(path)) for position, entry, path in openings),
    )


def _entry(lines: Lines, text: str) -> tuple[int, bytes]:
    position, _, entry = text.partition(" ")
    try:
        return parse_decimal(position), decode_base64(entry)
    except ValueError as error:
        raise lines.fault(f"the line is not entry, a position and bytes in base64: {error}") from error


def _hash(lines: Lines, text: str) -> bytes:
    try:
        data = decode_base64(text)
    except ValueError as error:
        raise lines.fault(f"the line is no hash: {error}") from error
    if len(data) != HASH_SIZE:
        raise lines.fault(f"a hash has {HASH_SIZE} bytes, this one {len(data)}")
    return data


def _note(lines: Lines, signatures: int) -> bytes:
    """Return a note of a checkpoint without extensions, and no more signatures than its kind of evidence needs."""
    text = [lines.must(), lines.must()]
    try:
        parse_decimal(text[1])
    except ValueError as error:
        raise lines.fault(f"the line is not the size of a checkpoint: {error}") from error
    text.append(lines.must())
    _hash(lines, text[2])
    lines.end_of_part()
    signed: list[str] = []
    for _ in range(signatures):
        signed.append(lines.must())
        if not signed[-1].startswith("\u2014 "):
            raise lines.fault("the line is no signature, which begins with an em dash and a space")
    lines.end_of_part()
    return "\n".join([*text, "", *signed, ""]).encode()
