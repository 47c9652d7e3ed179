"""Bundles: a part of a log's history in one file, for a node without a network: carried by hand, proven like the rest.

A bundle is what the node's relay would have sent, written down: portions of entries, each up to a signed checkpoint,
then the latest heartbeat. It begins after a size, whose compact range it holds, so that whoever reads it can compute
the root of every checkpoint in it. Nothing of it needs to be believed but the signatures of the log's own key.

Form: the line `tomoni-bundle/v1`, then sections. A section is a line `<kind> <size> <length> <sha256>` and as many
bytes: `size` is what the log has come to with it, the hash is that of its bytes. The kinds, in order, are

- `head`: the origin and the hashes of the compact range, a line each;
- `checkpoint`: a signed note. The first one is of the size after which the bundle begins (not where that is 0);
- `entries`: their leaf hashes, then the entries, each after its length in two bytes, as in a C2SP entry bundle; a
  checkpoint follows;
- `heartbeat`: a signed note, where the node has made one;
- `end`: a signed note over the SHA-256 of all bytes before this section's line.

The hashes of sections and entries tell where a file was altered; the note at the end, by whom it was made.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final, NoReturn

from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.encoding import decode_base64, encode_base64
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import HASH_SIZE, MAX_SIZE, CompactRange, leaf_hash, leaf_hashes
from tomoni.tlog.note import Signer, read_note, sign_note
from tomoni.tlog.tiles import TileError, decode_bundle, decode_tile, encode_bundle

FORM: Final = "tomoni-bundle/v1"
"""The first line, and the first line of the note at the end: no checkpoint begins so and has a number after it."""

MAX_PORTION: Final = 2_000
"""Entries between two checkpoints at most; a federation waits for no more of them (and a node signs every 999)."""

MAX_BYTES: Final = {"head": 8_192, "checkpoint": 4_096, "entries": 2**26, "heartbeat": 4_096, "end": 16_384}
"""Bytes of a section at most, by its kind: as much as reading one has in memory."""

_FIRST_LINE: Final = f"{FORM}\n".encode()
_MAX_LINE: Final = 160
_NUMBER: Final = rb"(0|[1-9][0-9]{0,18})"
_LINE: Final = re.compile(rb"([a-z]+) " + _NUMBER + b" " + _NUMBER + rb" ([0-9a-f]{64})\n")


class BundleError(ValueError):
    """A file is not a whole and unaltered bundle.

    `offset` is the first byte of the section at fault, `position` that of the entry at fault, where it is one.
    """

    def __init__(self, offset: int, text: str, position: int | None = None) -> None:
        place = "" if position is None else f", position {position} of the log"
        super().__init__(f"byte {offset} on{place}: {text}")
        self.offset = offset
        self.position = position


@dataclass(frozen=True, slots=True)
class Portion:
    """Entries that follow on each other and the checkpoint over them, as a relay sends them.

    The tree of `before` and of the leaves has the root that the checkpoint names; who signed it is not verified.
    Without entries it is the checkpoint after which the bundle begins.
    """

    before: CompactRange
    entries: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    note: bytes

    @property
    def start(self) -> int:
        """The position of the first entry."""
        return self.before.size

    @property
    def size(self) -> int:
        """The size of the checkpoint."""
        return self.before.size + len(self.entries)


class BundleWriter:
    """Writes a bundle to a file. Raises BundleError where entries are not those that a checkpoint was signed over."""

    def __init__(self, file: BinaryIO, origin: str, before: CompactRange, note: bytes | None) -> None:
        """Begin after a size, with its compact range and its checkpoint (None for the empty log)."""
        self._file = file
        self._origin = origin
        self._start = before.size
        self._range = before.copy()
        self._digest = sha256()
        self._offset = 0
        self._write(_FIRST_LINE)
        lines = (origin, *map(encode_base64, before.nodes))
        self._section("head", "".join(f"{line}\n" for line in lines).encode())
        if note is not None:
            self._checkpoint(note, before.size)

    @property
    def size(self) -> int:
        """How many entries the log has up to here."""
        return self._range.size

    def portion(self, entries: Sequence[bytes], note: bytes) -> None:
        """Write entries and the checkpoint over them."""
        if not 0 < len(entries) <= MAX_PORTION:
            raise BundleError(self._offset, f"a checkpoint follows after 1 to {MAX_PORTION} entries", self.size)
        first, leaves = self.size, leaf_hashes(entries)
        self._range.extend(leaves)
        self._section("entries", b"".join(leaves) + encode_bundle(entries))
        self._checkpoint(note, first)

    def finish(self, heartbeat: bytes | None, signers: Sequence[Signer]) -> None:
        """Write the heartbeat, and the end with a signature of each signer."""
        if heartbeat is not None:
            self._section("heartbeat", heartbeat)
        text = _end_text(self._origin, self._start, self.size, self._digest.digest())
        self._section("end", sign_note(text, signers))

    def _checkpoint(self, note: bytes, first: int) -> None:
        _require_root(note, self._origin, self._range, self._offset, first)
        self._section("checkpoint", note)

    def _section(self, kind: str, data: bytes) -> None:
        if len(data) > MAX_BYTES[kind]:
            raise BundleError(self._offset, f"a section {kind} has at most {MAX_BYTES[kind]} bytes", self.size)
        self._write(f"{kind} {self.size} {len(data)} {sha256(data).hexdigest()}\n".encode())
        self._write(data)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._offset += len(data)


@dataclass(frozen=True, slots=True)
class _Section:
    offset: int
    kind: str
    size: int
    data: bytes
    before: bytes
    """The SHA-256 of all bytes before it."""


class BundleReader:
    """Reads a bundle from its beginning, one portion at a time in memory; raises BundleError at the first fault.

    When `portions` is at its end, nothing is missing and nothing was altered since the note `end` was signed. Whose
    signature that is, is the caller's to verify: a file cannot say whose keys count.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the head."""
        self._file = file
        self._digest = sha256()
        self._offset = 0
        self.range = CompactRange()
        """Of the log up to the place reached."""
        self.heartbeat: bytes | None = None
        self.end = b""
        line = file.readline(_MAX_LINE)
        self._follow(line)
        if line != _FIRST_LINE:
            raise BundleError(0, f"the file does not begin with the line {FORM}: it is no bundle")
        head = self._section("head")
        try:
            self.origin, *nodes, rest = head.data.decode().split("\n")
            self.range = CompactRange(head.size, map(decode_base64, nodes))
        except ValueError as error:
            raise BundleError(head.offset, f"the head is no origin and compact range: {error}") from error
        if rest or not self.origin:
            raise BundleError(head.offset, "the head is no origin and compact range, a line each")
        self.start = head.size
        """The size after which the bundle begins."""

    @property
    def size(self) -> int:
        """How many entries the log has up to the place reached."""
        return self.range.size

    def portions(self) -> Iterator[Portion]:
        """Yield every portion in order; the first is the checkpoint after which the bundle begins, if that is not 0."""
        if self.start > 0:
            yield Portion(self.range.copy(), (), (), self._checkpoint(self.start))
        section = self._section("entries", "heartbeat", "end")
        while section.kind == "entries":
            before, (leaves, entries) = self.range.copy(), self._entries(section)
            self.range.extend(leaves)
            yield Portion(before, tuple(entries), tuple(leaves), self._checkpoint(before.size))
            section = self._section("entries", "heartbeat", "end")
        if section.kind == "heartbeat":
            self.heartbeat = section.data
            section = self._section("end")
        self._finish(section)

    def _finish(self, section: _Section) -> None:
        try:
            text = read_note(section.data).text
        except NoteError as error:
            raise BundleError(section.offset, f"the end is no signed note: {error}") from error
        if text != _end_text(self.origin, self.start, self.size, section.before):
            raise BundleError(section.offset, "the end was signed over other bytes than those before it")
        if self._file.read(1):
            raise BundleError(self._offset, "something follows after the end")
        self.end = section.data

    def _checkpoint(self, first: int) -> bytes:
        section = self._section("checkpoint")
        _require_root(section.data, self.origin, self.range, section.offset, first)
        return section.data

    def _entries(self, section: _Section) -> tuple[list[bytes], list[bytes]]:
        """Return leaf hashes and entries of a section."""
        count = section.size - self.size
        hashes, rest = section.data[: count * HASH_SIZE], section.data[count * HASH_SIZE :]
        try:
            entries = decode_bundle(rest, count)
            leaves = decode_tile(hashes, count)
        except TileError:
            self._blame(section.offset, section.data, count)
        if leaf_hashes(entries) != leaves:
            self._blame(section.offset, section.data, count)
        return leaves, entries

    def _section(self, *kinds: str) -> _Section:
        """Return the next section, whole and as its line says."""
        offset, before = self._offset, self._digest.digest()
        kind, size, length, hashed = self._line(offset, kinds)
        counts = {"head": range(MAX_SIZE), "entries": range(self.size + 1, self.size + 1 + MAX_PORTION)}
        if size not in counts.get(kind, (self.size,)) or length > MAX_BYTES[kind]:
            raise BundleError(offset, f"no section {kind} of this length or for the size {size} can be here")
        data = self._take(length, offset)
        if sha256(data).hexdigest() != hashed:
            if kind == "entries":
                self._blame(offset, data, size - self.size)
            raise BundleError(offset, f"the section {kind} for the size {size} was altered")
        return _Section(offset, kind, size, data, before)

    def _line(self, offset: int, kinds: Sequence[str]) -> tuple[str, int, int, str]:
        line = self._file.readline(_MAX_LINE)
        self._follow(line)
        match = _LINE.fullmatch(line)
        if match is not None and (kind := match[1].decode()) in kinds:
            return kind, int(match[2]), int(match[3]), match[4].decode()
        if not line:
            raise BundleError(offset, "the file ends here, before its end: it was cut off")
        raise BundleError(offset, f"the line of a section {' or '.join(kinds)} should be here")

    def _take(self, length: int, offset: int) -> bytes:
        data = self._file.read(length)
        self._follow(data)
        if len(data) < length:
            raise BundleError(offset, f"the file ends after {self._offset} bytes, within a section: it was cut off")
        return data

    def _follow(self, data: bytes) -> None:
        self._digest.update(data)
        self._offset += len(data)

    def _blame(self, offset: int, data: bytes, count: int) -> NoReturn:
        """Name the first entry that does not have the leaf hash written for it, if it is one."""
        end = count * HASH_SIZE
        for number in range(count):
            start, end = end + 2, end + 2 + int.from_bytes(data[end : end + 2], "big")
            leaf = data[number * HASH_SIZE : (number + 1) * HASH_SIZE]
            if end > len(data) or leaf_hash(data[start:end]) != leaf:
                text = "the entry does not have the leaf hash that is written for it: one of both was altered"
                raise BundleError(offset, text, self.size + number)
        raise BundleError(offset, f"the section of the entries from {self.size} on was altered")


def _require_root(note: bytes, origin: str, tree: CompactRange, offset: int, first: int) -> None:
    """Raise BundleError unless a note is the checkpoint of a tree, of which the entries from `first` on are new."""
    try:
        named = read_checkpoint(note)
    except NoteError as error:
        raise BundleError(offset, f"the checkpoint is none: {error}") from error
    if (named.origin, named.size, named.root) != (origin, tree.size, tree.root()):
        what = f"the entries from {first} to {tree.size - 1} are" if first < tree.size else "the compact range is"
        raise BundleError(offset, f"{what} not what the checkpoint was signed over")


def _end_text(origin: str, start: int, size: int, digest: bytes) -> str:
    return f"{FORM}\n{origin}\n{start} {size}\n{encode_base64(digest)}\n"
