"""Operations of a node under fault: appending at the desk, integrating, publishing."""

import functools
import uuid
from pathlib import Path

import msgspec

from tests.eventlog.making import grow
from tests.faults import lives
from tests.faults.children import Work
from tests.faults.steps import Steps
from tests.faults.table import Case
from tests.faults.whole import require_whole_log
from tomoni.database import Pool
from tomoni.eventlog import CheckpointStore, EventReader, LastWord, Sequencer
from tomoni.eventlog.tree import integrate
from tomoni.events import decode_event
from tomoni.tlog.cosignature import generate_cosigner, open_cosigned
from tomoni.tlog.note import generate_signer

ORIGIN = "tomoni.example/131130"


class Appending:
    """Commands at the desk of a node, each with entries, records of the vault and a kept answer."""

    def __init__(self, steps: Steps, pool: Pool, folder: Path, dsn: str) -> None:
        self.steps, self._pool, self._folder, self._dsn = steps, pool, folder, dsn
        self._keys: list[uuid.UUID] = []
        self._subjects = ["scheme"]

    async def prepare(self) -> Case:
        self._keys = [uuid.uuid4() for _ in range(4)]
        return Case(functools.partial(lives.append_at_desk, self._dsn, self._folder, self._keys))

    async def check(self) -> None:
        await integrate(self._pool)
        await require_whole_log(self._pool, ORIGIN)
        without = await self._pool.fetchval(
            "SELECT count(*) FROM log.entry e FULL JOIN vault.answer a USING (command_id) "
            "WHERE e.command_id IS NULL OR a.command_id IS NULL"
        )
        assert without == 0, "an entry without its answer, or an answer without its entry"

    async def verify(self, result: object) -> None:
        answers = await lives.commands(self._pool, self._folder, self._keys)  # asked again, by the same keys
        assert result in (None, answers)
        answered = [msgspec.json.decode(answer) for answer in answers]
        assert (answered[-1]["certificate"], answered[-1]["standing"]) == (answered[0]["certificate"], "ended")
        self._subjects += [f"certificate/{one['certificate']}" for one in answered]
        await self.check()
        entries = [entry.data for entry in await EventReader(self._pool).read(0, 10_000)]
        assert sorted(decode_event(entry).subject for entry in entries) == sorted(self._subjects)
        kept = await self._pool.fetch("SELECT subject FROM vault.record WHERE field = 'application'")
        assert sorted(row["subject"] for row in kept) == sorted({*self._subjects} - {"scheme"})


class Integrating:
    """Making tiles of what was appended, a few entries in each transaction."""

    def __init__(self, steps: Steps, pool: Pool, sequencer: Sequencer, dsn: str) -> None:
        self.steps, self._pool, self._sequencer, self._dsn = steps, pool, sequencer, dsn
        self._size = 0

    async def prepare(self) -> Case:
        await grow(self._sequencer, 7, self._size)
        self._size += 7
        return Case(functools.partial(lives.integrate_all, self._dsn))

    async def check(self) -> None:
        await require_whole_log(self._pool, ORIGIN)

    async def verify(self, result: object) -> None:
        assert result in (None, self._size)
        assert await self._pool.fetchval("SELECT size FROM log.tree") == self._size
        await self.check()


class Publishing:
    """Signing checkpoints up to the head, three entries apart at most, and a heartbeat of it."""

    def __init__(self, steps: Steps, pool: Pool, sequencer: Sequencer, dsn: str, word: Path) -> None:
        self.steps, self._pool, self._sequencer, self._word = steps, pool, sequencer, word
        self._signer, self._cosigner = generate_signer(ORIGIN), generate_cosigner(f"{ORIGIN}/heartbeat")
        keys = self._signer.to_text(), self._cosigner.to_text()
        self._signing = dsn, word, ORIGIN, *keys
        self._size = 0
        self._released: dict[int, bytes] = {}

    async def prepare(self) -> Case:
        await grow(self._sequencer, 5, self._size)
        self._size += 5
        return Case(functools.partial(lives.publish_head, *self._signing))

    async def prepare_once(self) -> Work:
        """Return what does the same, and does nothing again that fails."""
        await self.prepare()
        return functools.partial(lives.publish_once, *self._signing)

    async def check(self) -> None:
        """What anybody can have seen stays, and the last word is of the same or of more."""
        await require_whole_log(self._pool, ORIGIN, self._signer.verifier)
        stored = {one.size: one.note for one in await CheckpointStore(self._pool).read_from(0, 10_000)}
        assert self._released.items() <= stored.items()
        self._released = stored
        if stored:
            assert self._said() >= max(stored)

    async def verify(self, result: object) -> None:
        await self.check()
        assert result in (None, self._released[self._size])
        assert (max(self._released), self._said()) == (self._size, self._size)
        beat = await CheckpointStore(self._pool).heartbeat()
        assert beat is not None
        assert (beat.size, beat.time) == (self._size, open_cosigned(beat.note, self._cosigner.verifier))

    def _said(self) -> int:
        note = LastWord(self._word).read()
        return 0 if note is None else int(note.split(b"\n")[1])
