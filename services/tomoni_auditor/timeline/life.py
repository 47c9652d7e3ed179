"""What a picture shows: the life of a certificate by its own entries, and that of an issuer month by month."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from tomoni import times
from tomoni.events import UnknownEvent
from tomoni.events import jurisdiction as j
from tomoni.events.vocabulary import Words
from tomoni.history import status
from tomoni.history.certificates import CertificateRow, as_certificate
from tomoni.history.fold import Decoded, Prior, decode, fold
from tomoni.history.status import Certificate, Document, IssuerView
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.replay.replaying import Progress, proven_portions
from tomoni_auditor.verify.sources import SourceError
from tomoni_auditor.words import describe

_DAY: Final = timedelta(days=1)
_LATER: Final = datetime(9999, 1, 1, tzinfo=UTC)
Standing = Literal["valid", "conditional", "not-valid", "unknown"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry, the day on which it was written by its writer's word (None: unreadable), and what it says."""

    position: int
    written_on: date | None
    words: Words


@dataclass(frozen=True, slots=True)
class Span:
    """Days on which a certificate stands so; `last` None: until further notice."""

    first: date
    last: date | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class CertificateLife:
    """A certificate from its first entry to the last known."""

    code: str
    certificate: str
    size: int
    """Of the log that was read."""
    spans: tuple[Span, ...]
    """By all that is known now: a correction changes the past."""
    documents: tuple[tuple[date, date | None], ...]
    """Each document's day of issue and of its replacement."""
    moments: tuple[Moment, ...]


@dataclass(slots=True)
class IssuerLife:
    """An issuer month by month (the first days), and what it has declared."""

    code: str
    size: int
    issued: Counter[date] = field(default_factory=Counter[date])
    ended: Counter[date] = field(default_factory=Counter[date])
    """Ends less reinstatements, by the month they were written in."""
    moments: list[Moment] = field(default_factory=list[Moment])


def certificate_life(
    folder: LogFolder, code: str, certificate: str, on_progress: Progress | None = None
) -> CertificateLife:
    """Return the life of a certificate; raise SourceError where the log has no such one, or is not what is signed."""
    checkpoint = folder.head()
    about = f'"subject":"certificate/{certificate}"'.encode()
    found: list[tuple[int, bytes]] = []
    for portion in proven_portions(folder, code, checkpoint, checkpoint.size):
        found += [entry for entry in portion if about in entry[1]]
        if on_progress is not None:
            on_progress(portion[-1][0] + 1, checkpoint.size)
    entries = decode(found)
    changes = fold(code, checkpoint.origin, entries, Prior())
    row = changes.new_certificates.get(certificate)
    if row is None:
        raise SourceError(f"{code}: there is no certificate {certificate} in this log")
    moments = tuple(_moment(entry) for entry in entries)
    return CertificateLife(code, certificate, checkpoint.size, _spans(row), _documents(entries), moments)


def issuer_life(folder: LogFolder, code: str, on_progress: Progress | None = None) -> IssuerLife:
    """Return the life of an issuer, in memory that does not grow with its certificates."""
    checkpoint = folder.head()
    life = IssuerLife(code, checkpoint.size)
    for portion in proven_portions(folder, code, checkpoint, checkpoint.size):
        for entry in decode(portion):
            _live(life, entry)
        if on_progress is not None:
            on_progress(portion[-1][0] + 1, checkpoint.size)
    return life


def _live(life: IssuerLife, entry: Decoded) -> None:
    event = entry.event
    match event:
        case j.CertificateIssued():
            life.issued[_month(event.time)] += 1
        case j.CertificateRevoked():
            life.ended[_month(event.time)] += 1
        case j.CertificateReinstated():
            life.ended[_month(event.time)] -= 1
        case j.CertificateConfirmed() | j.CertificateReissued() | j.CertificateCorrected() | j.CertificateErased():
            pass
        case _:
            life.moments.append(_moment(entry))


def _moment(entry: Decoded) -> Moment:
    event = entry.event
    if event is None:
        return Moment(entry.position, None, Words("記録として読めません。", f"No legal event: {entry.fault}"))
    written = None if isinstance(event, UnknownEvent) else times.day_in_japan(times.parse_time(event.time))
    return Moment(entry.position, written, describe(event))


def _month(time: str) -> date:
    return times.day_in_japan(times.parse_time(time)).replace(day=1)


def _spans(row: CertificateRow) -> tuple[Span, ...]:
    """Return how a certificate stands on which days, as the federation would answer for its current document."""
    certificate = as_certificate(row)
    lapse = None if row.conditional_until is None else row.conditional_until + _DAY
    turns = sorted({day for day in (row.certified_on, lapse, row.effective_on) if day and day >= row.certified_on})
    spans: list[Span] = []
    for first, following in zip(turns, [*turns[1:], None], strict=True):
        standing = _standing(certificate, first)
        last = None if following is None else following - _DAY
        if spans and spans[-1].standing == standing:
            first = spans.pop().first  # noqa: PLW2901  # the span goes on
        spans.append(Span(first, last, standing))
    return tuple(spans)


def _standing(certificate: Certificate, on: date) -> Standing:
    document = Document(certificate=certificate, current=True)
    view = IssuerView(state="open", fresh_as_of=_LATER)
    answer = status.decide(document, view, max_age=timedelta.max, now=_LATER, on=on)
    if answer.status == "valid" or answer.status == "conditional" or answer.status == "not-valid":  # noqa: PLR1714
        return answer.status
    return "unknown"


def _documents(entries: list[Decoded]) -> tuple[tuple[date, date | None], ...]:
    issued = [
        times.day_in_japan(times.parse_time(event.time))
        for entry in entries
        if isinstance(event := entry.event, j.CertificateIssued | j.CertificateReissued)
    ]
    return tuple(zip(issued, [*issued[1:], None], strict=True))
