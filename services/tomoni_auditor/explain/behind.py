"""The logs behind an answer, and what was known of them at any time: what the answer is made from again.

Known of a log at a time is what the federation had given a receipt for by then; where the folder has no receipts at
all, as when it was taken from the node itself, it is the whole log. State and decision are made by the functions that
the federation answers with (`tomoni.history`).
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tomoni import times
from tomoni.history import known, status
from tomoni.history.arrangements import Question
from tomoni.history.known import Known, Past
from tomoni.history.recognition import Decision
from tomoni.history.status import Answer, IssuerView
from tomoni_auditor.archive.federation import FederationLog
from tomoni_auditor.archive.folder import LogFolder, damage_told
from tomoni_auditor.explain.explanation import Asked
from tomoni_auditor.proofs.making import entry_at
from tomoni_auditor.replay.moments import Receipts, federation_of, heard_at, receipts_in
from tomoni_auditor.replay.replaying import Replayed, replayed
from tomoni_auditor.verify.sources import SourceError

Progress = Callable[[str, int, int], None]
"""Told of which log how many entries are replayed, of how many."""

Freshness = Mapping[str, datetime | None]
"""As of when each log was known, by the word of an answer that was given."""

_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


class Made(NamedTuple):
    """An answer made from the entries, and what was known of each log behind it."""

    status: Answer
    decision: Decision | None
    pasts: dict[str, Past]


@dataclass(slots=True)
class TownLog:
    """A town's log, replayed up to the latest time that is asked about."""

    code: str
    folder: LogFolder
    replay: Replayed
    receipts: Receipts
    heard: datetime | None
    """The time of its last heartbeat."""
    _entries: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def past(self, at: datetime, federation: FederationLog, fresh: Freshness | None) -> Past:
        """Return what was known of it at a time, nothing of it read yet."""
        size, proven = _size_at(self.folder, self.receipts, at)
        times_known = [one for one in (proven, self.heard) if one is not None and one <= at]
        as_of = max(times_known, default=None) if fresh is None else fresh.get(self.code)
        return Past(IssuerView(state=federation.admission(self.code, at).state, fresh_as_of=as_of), size)

    def read(self, past: Past, positions: Iterable[int]) -> None:
        """Fold those of the entries at these positions that were known then; they are whole streams of the log."""
        wanted = sorted({one for one in positions if one < past.size})
        fault = self.replay.fault
        entries = [(position, self._entry(position)) for position in wanted]
        past.replay(self.code, entries, complete=fault is None or fault.position >= past.size)

    def reaches(self, at: datetime) -> bool:
        """Say whether the folder has all that the federation held of it by a time."""
        later = any(seconds > at.timestamp() for seconds in self.receipts.seconds)
        return later or (self.heard is not None and self.heard >= at)

    def _entry(self, position: int) -> bytes:
        if position not in self._entries:
            with damage_told():
                self._entries[position] = entry_at(self.folder, position)
        return self._entries[position]


@dataclass(slots=True)
class Behind:
    """A question, and the logs that its answer comes from."""

    asked: Asked
    receiver: str
    federation: FederationLog
    logs: dict[str, TownLog]
    subject: str
    """That of the document's certificate, empty where there is none."""

    @property
    def name(self) -> str:
        """The federation's name, by the issuer's checkpoint."""
        return federation_of(self.logs[self.asked.issuer].folder, self.asked.issuer)

    def question(self, now: datetime) -> Question:
        """Return the question as it is answered at a time."""
        today = times.day_in_japan(now)
        on: date = self.asked.on or today
        asked = self.asked
        return Question(issuer=asked.issuer, receiver=self.receiver, service=asked.service or "", on=on, today=today)

    def answer(self, at: datetime, now: datetime, fresh: Freshness | None = None) -> Made:
        """Return the answer at `now` from what was known by `at`; as fresh as the folder shows, or as it was said."""
        what, pasts = self._known(at, fresh)
        question, max_age = self.question(now), self.asked.max_age
        if self.asked.receiver is None:
            answer = status.decide(what.document, what.issuer, max_age=max_age, now=now, on=question.on)
            return Made(answer, None, pasts)
        return Made(*known.decide(question, what, max_age=max_age, now=now), pasts)

    def of_certificate(self) -> list[int]:
        """Return where the issuer's log speaks of the document's certificate, and every entry of an unknown type."""
        state = self.logs[self.asked.issuer].replay.state
        row = state.certificate(self.subject.partition("/")[2])
        return [] if row is None else sorted({row.first_position, *state.positions([self.subject])})

    def changes_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the times after one and up to another at which something that may decide became known."""
        for code, log in self.logs.items():
            about = self.of_certificate() if code == self.asked.issuer else []
            relevant = sorted({*about, *log.replay.state.positions_of_declarations()})
            before = bisect_left(relevant, _size_at(log.folder, log.receipts, after)[0])
            for size, at in log.receipts.between(after, until):
                if (count := bisect_left(relevant, size)) != before:
                    before = count
                    yield at
        yield from self.federation.between(after, until)

    def _known(self, at: datetime, fresh: Freshness | None) -> tuple[Known, dict[str, Past]]:
        asked = self.asked
        pasts = {code: log.past(at, self.federation, fresh) for code, log in self.logs.items()}
        issuing, declaring = self.logs[asked.issuer], self.logs[self.receiver]
        declared = declaring.replay.state.positions_of_declarations()
        if issuing is declaring:
            issuing.read(pasts[asked.issuer], [*declared, *self.of_certificate()])
        else:
            declaring.read(pasts[self.receiver], declared)
            networks = [f"network/{name}" for name in pasts[self.receiver].networks_named()]
            issuing.read(pasts[asked.issuer], [*self.of_certificate(), *issuing.replay.state.positions(networks)])
        told = self.federation.told(pasts[self.receiver].networks_named(), at)
        key = (asked.issuer, asked.document)
        return known.known_then(key, self.receiver, pasts[asked.issuer], pasts[self.receiver], told), pasts


@contextmanager
def behind(folder: Path, asked: Asked, until: datetime, on_progress: Progress | None = None) -> Generator[Behind]:
    """Give the logs behind an answer, replayed to what was known at a time; raise SourceError where one is lacking."""
    federation = FederationLog(folder)
    receiver = asked.receiver or asked.issuer
    with ExitStack() as stack:
        logs = {
            code: _open(folder, code, federation, until, stack, on_progress)
            for code in dict.fromkeys((asked.issuer, receiver))
        }
        row = logs[asked.issuer].replay.state.certificate_of(asked.document)
        subject = "" if row is None else f"certificate/{row.certificate}"
        yield Behind(asked, receiver, federation, logs, subject)


def _open(
    folder: Path, code: str, federation: FederationLog, until: datetime, stack: ExitStack, on_progress: Progress | None
) -> TownLog:
    if not (folder / code).is_dir():
        raise SourceError(f"the folder lacks the log of {code}; fetch it too")
    log = LogFolder(folder / code)
    received = receipts_in(log, code)
    with damage_told():
        size, _ = _size_at(log, received, until)
    show = None if on_progress is None else partial(on_progress, code)
    replay = stack.enter_context(replayed(log, code, size, show))
    heartbeat_key = federation.admission(code, _ALWAYS).keys[1]
    return TownLog(code, log, replay, received, heard_at(log, heartbeat_key))


def _size_at(log: LogFolder, received: Receipts, at: datetime) -> tuple[int, datetime | None]:
    if not received.sizes:
        return log.head().size, None
    return received.known_at(at) or (0, None)
