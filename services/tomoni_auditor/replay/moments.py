"""Which part of a log was known when: what the federation had given a receipt for by then.

A checkpoint has no time and an event's time is its writer's word. A receipt is the federation's timestamped
cosignature: at its time at the latest the log had signed that history. What was signed on a day and got its receipt
after it belongs to the next day.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tomoni.times import midnight_in_japan
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.note import Note, read_note
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import HEARTBEAT, RECEIPTS, LogFolder, damage_told
from tomoni_auditor.verify.sources import SourceError

RECEIPTS_KEY: Final = "receipts"
_TIME_SIZE: Final = 8


@dataclass(slots=True)
class Receipts:
    """Sizes of one log that had receipts, by size, each with its time in seconds; sixteen bytes each."""

    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    seconds: "array[int]" = field(default_factory=lambda: array("q"))

    def known_at(self, at: datetime) -> tuple[int, datetime] | None:
        """Return the longest history that had a receipt by a time, and that receipt's time."""
        found = max(
            (one for one in zip(self.sizes, self.seconds, strict=True) if one[1] <= at.timestamp()), default=None
        )
        return None if found is None else (found[0], datetime.fromtimestamp(found[1], UTC))

    def between(self, after: datetime, until: datetime) -> Iterator[tuple[int, datetime]]:
        """Yield the sizes whose receipts came after a time and by another, each with its time."""
        for size, seconds in zip(self.sizes, self.seconds, strict=True):
            if after.timestamp() < seconds <= until.timestamp():
                yield size, datetime.fromtimestamp(seconds, UTC)


def receipts_in(folder: LogFolder, code: str) -> Receipts:
    """Return the receipts of a log, as `tomoni audit verify` has verified them; raise SourceError."""
    found = Receipts()
    with damage_told():
        name = f"{federation_of(folder, code)}/{RECEIPTS_KEY}"
        for data in folder.notes(RECEIPTS):
            note = read_note(data)
            if (at := cosigned_at(note, name)) is not None:
                found.sizes.append(parse_checkpoint(note.text).size)
                found.seconds.append(int(at.timestamp()))
    return found


def federation_of(folder: LogFolder, code: str) -> str:
    """Return the federation's name, from the origin of a log's checkpoint."""
    return folder.head().origin.removesuffix(f"/{code}")


def size_on(folder: LogFolder, code: str, day: date) -> int:
    """Return how many entries of a log were known at the end of a day; raise SourceError where nothing tells."""
    received = receipts_in(folder, code)
    if not received.sizes:
        raise SourceError(f"{code}: the folder has no receipts, so nothing tells what was known on a day; name a size")
    known = received.known_at(last_instant(day))
    if known is None:
        first = datetime.fromtimestamp(min(received.seconds), UTC)
        raise SourceError(f"{code}: the federation had no proof of this log by then; the first came on {first}")
    return known[0]


def last_instant(day: date) -> datetime:
    """Return the last instant of a day in Japan."""
    end = day + timedelta(days=1) if day < date.max else day
    return midnight_in_japan(end) - timedelta(microseconds=1)


def heard_at(folder: LogFolder, heartbeat_key: str) -> datetime | None:
    """Return the time of the log's last heartbeat, by its heartbeat key's name; None where there is none."""
    with damage_told():
        try:
            note = read_note(folder.read(HEARTBEAT))
        except NotPublishedError:
            return None
    return cosigned_at(note, heartbeat_key.partition("+")[0])


def cosigned_at(note: Note, name: str) -> datetime | None:
    """Return the time of the last cosignature by a key of a name; raise SourceError where it is no time."""
    seconds = [int.from_bytes(one.data[:_TIME_SIZE], "big") for one in note.signatures if one.name == name]
    try:
        return datetime.fromtimestamp(max(seconds), UTC) if seconds else None
    except (ValueError, OverflowError, OSError) as error:
        raise SourceError(f"a cosignature of {name} has a time that cannot be one; verify it") from error
