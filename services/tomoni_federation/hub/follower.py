"""Following the federation's own log: fetched over HTTP, proven under a signed checkpoint, folded, and kept.

The hub keeps the tree's compact range beside what it has folded. New entries are believed when the range that they
extend has the root of a checkpoint signed by the federation; so a log that was changed or cut is never followed, and
a restart needs no federation.

The bundles themselves are kept too, as tlog-tiles files under `federation-log`: a federation that has lost its database
gets its own log back from here (`tomoni federation restore`).
"""

import base64
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tomoni.events import decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Verifier
from tomoni.tlog.notes import read_notes
from tomoni.tlog.succession import Key, keys_for
from tomoni.tlog.tiles import TILE_WIDTH, decode_bundle, entries_path
from tomoni_federation.hub.files import write_atomically
from tomoni_federation.hub.members import Users, apply_entry

Fetch = Callable[[str], Awaitable[bytes]]
"""Return what a log serves under a path (`checkpoint`, `checkpoints?after=…`, `tile/entries/000`).

Raises OSError where it cannot be had.
"""


class LogError(Exception):
    """The federation's log is not what its signature says, or contradicts what was proven before."""


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log was followed, and what it says there."""

    size: int = 0
    range: str = ""
    users: dict[str, tuple[str, ...]] = {}
    keys: tuple[Key, ...] = ()
    """The keys that the log was rotated to."""

    def tree(self) -> CompactRange:
        """Return the compact range of the followed size."""
        return CompactRange.from_bytes(self.size, base64.b64decode(self.range))


class Follower:
    """One log, followed into one state file."""

    def __init__(self, origin: str, verifier: Verifier, fetch: Fetch, state_file: Path) -> None:
        self._origin = origin
        self._verifier = verifier
        self._fetch = fetch
        self._file = state_file
        self._copy = state_file.parent / "federation-log"
        self.followed = load(state_file)
        """The state as of the last proven checkpoint."""

    async def advance(self) -> bool:
        """Follow the log to its newest checkpoint; return whether the users are others now.

        Raises LogError or FoldError where the log must not be followed further, OSError where it cannot be fetched.
        Nothing is taken of a checkpoint that does not hold as a whole.
        """
        users = self.followed.users
        note = await self._fetch("checkpoint")
        while not self._is_signed(note):
            await self._follow(await self._hand_over())
        await self._follow(note)
        return self.followed.users != users

    async def _hand_over(self) -> bytes:
        """Return the last of the next checkpoints that a known key has signed: it may hand over to one unknown yet."""
        page = await self._fetch(f"checkpoints?after={self.followed.size}")
        try:
            signed = [note for note in read_notes(io.BytesIO(page)) if self._is_signed(note)]
        except NoteError as error:
            raise LogError("the checkpoints of the federation's log cannot be read") from error
        if not signed:
            raise LogError("the federation's checkpoint does not verify")
        return signed[-1]

    async def _follow(self, note: bytes) -> None:
        """Follow the log to a checkpoint that a known key has signed."""
        before = self.followed
        checkpoint = self._open(note, self._keys(before.keys))
        if checkpoint.size < before.size:
            raise LogError("the federation's log is shorter than it was")
        tree, users, keys = before.tree(), before.users, before.keys
        files: dict[str, bytes] = {}
        while tree.size < checkpoint.size:
            for entry in await self._entries(tree.size, checkpoint.size, files):
                tree.append(leaf_hash(entry))
                users = apply_entry(users, entry, self._origin)
                keys = (*keys, *self._announced(entry, tree.size, keys))
        if tree.root() != checkpoint.root:
            raise LogError("the federation's log is not the one of its checkpoint")
        for key in keys[len(before.keys) :]:
            self._open(note, [key])  # each next key speaks for itself, beside the one before
        if tree.size != before.size:
            self._keep_copy(files, note)
            self._keep(tree, users, keys)

    def _announced(self, entry: bytes, size: int, known: Sequence[Key]) -> list[Key]:
        """Return the key that a proven entry names as the next one, valid from a size on."""
        event = decode_event(entry)
        if not isinstance(event, KeyRotated) or event.data.log_key in {key.log_key for key in self._keys(known)}:
            return []
        return [Key(size, event.data.log_key)]

    def _keys(self, rotated: Sequence[Key]) -> list[Key]:
        return [Key(0, self._verifier.vkey), *rotated]

    def _is_signed(self, note: bytes) -> bool:
        try:
            self._open(note, self._keys(self.followed.keys))
        except LogError:
            return False
        return True

    def _open(self, note: bytes, keys: Sequence[Key]) -> Checkpoint:
        try:
            size = read_checkpoint(note).size
            verifiers = [Verifier.parse(key.log_key) for key in keys_for(keys, size)]
            return open_checkpoint(note, self._origin, verifiers)
        except NoteError as error:
            raise LogError("the federation's checkpoint does not verify") from error

    async def _entries(self, start: int, size: int, files: dict[str, bytes]) -> list[bytes]:
        """Return the entries from `start` to the end of its bundle, in a tree of `size`; add the bundle to `files`."""
        index = start // TILE_WIDTH
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        try:
            path = entries_path(index, width)
            files[path] = await self._fetch(path)
            bundle = decode_bundle(files[path], width)
        except ValueError as error:
            raise LogError("an entry bundle of the federation's log is malformed") from error
        return bundle[start - index * TILE_WIDTH :]

    def _keep_copy(self, files: Mapping[str, bytes], note: bytes) -> None:
        """Write bundles, and then the checkpoint that covers them: a crash leaves the copy of before."""
        for path, data in (*files.items(), ("checkpoint", note)):
            file = self._copy / path
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, data)
        for path in files:
            older = self._copy / path.partition(".p/")[0]
            for file in older.with_name(f"{older.name}.p").glob("*"):
                if file != self._copy / path:
                    file.unlink()

    def _keep(self, tree: CompactRange, users: Users, keys: tuple[Key, ...]) -> None:
        of_tree = base64.b64encode(tree.to_bytes()).decode()
        followed = Followed(size=tree.size, range=of_tree, users=dict(users), keys=keys)
        write_atomically(self._file, msgspec.json.encode(followed))
        self.followed = followed


def load(state_file: Path) -> Followed:
    """Return what was kept; raise LogError where the file was damaged (delete it to follow from the beginning)."""
    if not state_file.exists():
        return Followed()
    try:
        followed = msgspec.json.decode(state_file.read_bytes(), type=Followed)
        followed.tree()
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogError(f"the hub's state {state_file} is damaged: delete it, and the log is followed anew") from error
    return followed
