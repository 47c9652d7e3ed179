"""The federation's own log in a folder: who took part, and which networks there were, at a time."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tomoni import times
from tomoni.events import Event, UnknownEvent
from tomoni.events import federation as f
from tomoni.history.admissions import Admission, evolve
from tomoni.history.fold import decode
from tomoni.history.known import Told
from tomoni_auditor.archive.folder import FEDERATION, LogFolder, damage_told
from tomoni_auditor.verify.sources import SourceError


class Decided(NamedTuple):
    """Something the federation has decided, and when, by its own word."""

    position: int
    at: datetime
    event: Event


class FederationLog:
    """What the federation has decided; its log is small and held in memory."""

    def __init__(self, folder: Path) -> None:
        """Read the log in a folder of logs; raise SourceError where it is not there, or not readable."""
        if not (folder / FEDERATION).is_dir():
            raise SourceError("the folder lacks the federation's own log, which says who takes part; fetch it too")
        log = LogFolder(folder / FEDERATION)
        self._decided: defaultdict[str, list[Decided]] = defaultdict(list)
        with damage_told():
            for entry in decode(log.entries(0, log.head().size)):
                event = entry.event
                if event is None or isinstance(event, UnknownEvent):
                    text = f"entry {entry.position} of the federation's own log cannot be read by this version"
                    raise SourceError(text)
                decided = Decided(entry.position, times.parse_time(event.time), event)
                self._decided[event.subject].append(decided)

    def admission(self, code: str, at: datetime) -> Admission:
        """Return a jurisdiction as the federation had it at a time."""
        admission = Admission(code=code)
        for one in self._by(f"jurisdiction/{code}", at):
            admission = evolve(admission, one.event)
        return admission

    def positions(self, code: str, at: datetime) -> list[int]:
        """Return where the log speaks of a jurisdiction, up to a time."""
        return [one.position for one in self._by(f"jurisdiction/{code}", at)]

    def told(self, networks: Iterable[str], at: datetime) -> Told:
        """Return what it says of networks up to a time."""
        told = Told()
        for name in networks:
            told.hear(name, [(one.position, one.event) for one in self._by(f"network/{name}", at)])
        return told

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the times after one and up to another at which something was decided."""
        for decided in self._decided.values():
            yield from (one.at for one in decided if after < one.at <= until)

    def may_have_taken_back(self, code: str, size: int, at: datetime) -> bool:
        """Say whether entries after a size may have counted at a time and count no more.

        What is behind the size from which a log was suspended or readmitted later is taken out of its history.
        """
        later = (one.event for one in self._decided.get(f"jurisdiction/{code}", ()) if one.at > at)
        return any(
            isinstance(event, f.JurisdictionSuspended | f.JurisdictionReadmitted) and event.data.from_size <= size
            for event in later
        )

    def _by(self, subject: str, at: datetime) -> Iterator[Decided]:
        return (one for one in self._decided.get(subject, ()) if one.at <= at)
