"""The pure part of projecting: the entries of one log, in order, to changes of rows.

What an event does depends on its own log alone and on the order within it, so any interleaving of logs gives the
same rows. The rows that the entries touch are read beforehand (`needs`); nothing here asks a database.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from tomoni.events import Event, EventError, UnknownEvent, decode_event
from tomoni.events import jurisdiction as j
from tomoni.history import certificates
from tomoni.history.certificates import CertificateRow
from tomoni.history.faults import HandlerError, IllegalError, InapplicableError
from tomoni.history.keys import is_log_key

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,63}")

_NOT_DENSE = "the versions of a stream count from 1, one by one"

Row = tuple[object, ...]

CertificateChange = (
    j.CertificateConfirmed
    | j.CertificateReissued
    | j.CertificateRevoked
    | j.CertificateReinstated
    | j.CertificateCorrected
    | j.CertificateErased
)


class Decoded(NamedTuple):
    """A proven entry as an event; `fault` in its place where it is none."""

    position: int
    event: Event | UnknownEvent | None
    fault: str | None = None


@dataclass(slots=True)
class Stream:
    """The version of a stream, and whether an event of an unknown type is about it."""

    version: int = 0
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a log stops and why; `illegal` is a signed contradiction, otherwise the entry does not fit."""

    position: int
    illegal: bool
    reason: str


@dataclass(slots=True)
class Changes:
    """What the entries of one log change, ready to be written as sets; `position` is the new cursor."""

    log: str
    position: int
    fault: Fault | None = None
    unknown: bool = False
    missing_unknown: bool = False
    new_certificates: dict[str, CertificateRow] = field(default_factory=dict[str, CertificateRow])
    changed_certificates: dict[str, CertificateRow] = field(default_factory=dict[str, CertificateRow])
    documents: dict[bytes, str] = field(default_factory=dict[bytes, str])
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    arrangements: list[Row] = field(default_factory=list[Row])
    withdrawals: list[Row] = field(default_factory=list[Row])
    memberships: list[Row] = field(default_factory=list[Row])
    positions: list[Row] = field(default_factory=list[Row])
    """Where what a question about the past may need is said; the issue of a certificate stands in its own row."""


@dataclass(slots=True)
class Prior:
    """The rows of one log that its entries touch, as they stand at the cursor."""

    certificates: dict[str, CertificateRow] = field(default_factory=dict[str, CertificateRow])
    documents: set[bytes] = field(default_factory=set[bytes])
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    missing_unknown: bool = False
    """An earlier event of an unknown type was about a certificate."""
    keys: set[tuple[int, str]] | None = None
    """The log's keys, each with the size from which it counts; None where none was announced, or nobody asks."""


def decode(entries: Iterable[tuple[int, bytes]]) -> list[Decoded]:
    """Return entries as events; one that is no legal event keeps its place, with what is wrong."""
    decoded: list[Decoded] = []
    for position, data in entries:
        try:
            decoded.append(Decoded(position, decode_event(data)))
        except EventError as error:
            decoded.append(Decoded(position, None, str(error)))
    return decoded


def needs(
    entries: Sequence[Decoded], *, new_too: bool, missing_unknown: bool = False
) -> tuple[set[str], set[bytes], set[str]]:
    """Return what must be read beforehand: certificates by identity, documents by hash, other streams by subject.

    Without `new_too` what an issue makes is taken to be new; where it is not, the tables' keys refuse its row. After
    `missing_unknown` something unknown may have been said about a certificate before it was issued.
    """
    touched, documents, streams = set[str](), set[bytes](), set[str]()
    for entry in entries:
        event = entry.event
        if event is None or event.subject is None:
            continue
        if isinstance(event, j.CertificateIssued) and missing_unknown:
            streams.add(event.subject)
        if isinstance(event, j.CertificateIssued) and not new_too:
            continue
        noun, _, identity = event.subject.partition("/")
        if noun != "certificate":
            streams.add(event.subject)
        elif _UUID.fullmatch(identity):
            touched.add(identity)
        if isinstance(event, j.CertificateIssued | j.CertificateReissued):
            documents.add(bytes.fromhex(event.data.document))
    return touched, documents, streams


def fold(log: str, origin: str, entries: Sequence[Decoded], prior: Prior) -> Changes:
    """Return what the entries change, up to the first that is illegal or does not fit.

    Raises HandlerError, which names the entry, where a handler fails otherwise.
    """
    folding = _Folding(log, origin, prior, entries[0].position if entries else 0)
    changes = folding.changes
    for entry in entries:
        try:
            folding.apply(entry)
        except IllegalError as error:
            changes.fault = Fault(entry.position, illegal=True, reason=str(error))
            break
        except InapplicableError as error:
            changes.fault = Fault(entry.position, illegal=False, reason=str(error))
            break
        except Exception as error:
            raise HandlerError(log, entry.position) from error
        changes.position = entry.position + 1
    return changes


class _Folding:
    """One log being folded."""

    def __init__(self, log: str, origin: str, prior: Prior, position: int) -> None:
        self.origin = origin
        self.prior = prior
        self.changes = Changes(log, position, missing_unknown=prior.missing_unknown)

    def apply(self, entry: Decoded) -> None:
        event = entry.event
        if event is None:
            raise IllegalError(entry.fault or "the entry is no legal event")
        if event.source != self.origin:
            raise IllegalError("the event names another log as its source")
        if isinstance(event, UnknownEvent):
            self._unknown(event)
            self.changes.positions.append((self.changes.log, event.subject or "", entry.position, True))
            return
        noun, handler = _HANDLERS.get(type(event), (None, None))
        if handler is None:
            raise IllegalError("the event is not one of a jurisdiction's log")
        found, _, identity = event.subject.partition("/")
        if found != noun or not _IDENTITIES[found](identity):
            raise IllegalError("the event's subject is not what its type is about")
        handler(self, identity, entry.position, event)
        if noun in _ASKED_ABOUT and not isinstance(event, j.CertificateIssued):
            self.changes.positions.append((self.changes.log, event.subject, entry.position, False))

    def _unknown(self, event: UnknownEvent) -> None:
        """Mark what the event is about as unknown from here on, never as if nothing had happened."""
        subject = event.subject
        noun, _, identity = (subject or "").partition("/")
        if subject is None or noun == "key":
            self.changes.unknown = True
        elif noun == "certificate":
            self.changes.missing_unknown = True
            if (row := self._find(identity)) is not None:
                changed = copy(row)
                changed.unknown = True
                self._keep(changed)
            else:
                self._stream(subject).unknown = True
        else:
            self._stream(subject).unknown = True

    def issue(self, identity: str, position: int, event: j.CertificateIssued) -> None:
        of_unknown = self.changes.missing_unknown  # what came before it may have been unknown
        if self._find(identity) is not None or (event.data.version != 1 and not of_unknown):
            raise IllegalError(_NOT_DENSE)
        unknown = of_unknown and (event.data.version != 1 or self._is_unknown(event.subject))
        row = certificates.issued(self.changes.log, identity, position, event)
        row.unknown = unknown
        self._document(row.document, identity)
        self.changes.new_certificates[identity] = row

    def change_certificate(self, identity: str, position: int, event: CertificateChange) -> None:
        row = self._find(identity)
        if row is None:
            if self.changes.missing_unknown:
                return  # it may have been issued by an event of an unknown type; not found is unknown in this log
            raise IllegalError("the event is about a certificate that was not issued")
        changed = copy(row)  # nothing of an event that does not fit may be kept
        changed.version, changed.last_position = event.data.version, position
        if not row.unknown:
            if changed.version != row.version + 1:
                raise IllegalError(_NOT_DENSE)
            if (evolve := _EVOLVERS.get(type(event))) is not None:
                evolve(changed, event)
        if isinstance(event, j.CertificateReissued):
            self._document(bytes.fromhex(event.data.document), identity)
        self._keep(changed)

    def declare(self, identity: str, position: int, event: j.ArrangementDeclared) -> None:
        data = event.data
        stream = self._next(event.subject, data.version)
        if stream.version > 0 and not stream.unknown:
            raise InapplicableError("an arrangement is declared once, and first")
        stream.version = data.version
        if stream.unknown:
            return
        self.changes.arrangements.append(
            (
                self.changes.log,
                identity,
                data.pattern,
                [] if data.issuers.codes is UNSET else list(data.issuers.codes),
                None if data.issuers.prefecture is UNSET else data.issuers.prefecture,
                None if data.issuers.network is UNSET else data.issuers.network,
                list(data.kinds),
                list(data.services),
                data.effective_from,
                None if data.effective_until is UNSET else data.effective_until,
                list(data.conditions),
                data.precedence,
                data.keeps_recognised,
                position,
            )
        )

    def withdraw(self, identity: str, position: int, event: j.ArrangementWithdrawn) -> None:
        stream = self._next(event.subject, event.data.version)
        if stream.version != 1 and not stream.unknown:
            raise InapplicableError("an arrangement is withdrawn once, after it was declared")
        stream.version = event.data.version
        if stream.unknown:
            return
        self.changes.withdrawals.append((self.changes.log, identity, event.data.effective_on, position))

    def member(self, identity: str, position: int, event: j.NetworkJoined | j.NetworkLeft) -> None:
        self._next(event.subject, event.data.version).version = event.data.version
        joined = isinstance(event, j.NetworkJoined)
        self.changes.memberships.append((self.changes.log, position, identity, joined, event.data.effective_on))

    def rotate(self, _: str, position: int, event: j.KeyRotated) -> None:
        if not is_log_key(event.data.log_key, self.origin):
            raise IllegalError("the next key is no key of this log")
        if self.prior.keys is not None and (position + 1, event.data.log_key) not in self.prior.keys:
            raise IllegalError("the next key was used before")
        self._next(event.subject, event.data.version).version = event.data.version

    def count(self, _: str, __: int, event: Any) -> None:  # noqa: ANN401  # by _HANDLERS
        self._next(event.subject, event.data.version).version = event.data.version

    def _find(self, identity: str) -> CertificateRow | None:
        changes = self.changes
        return (
            changes.new_certificates.get(identity)
            or changes.changed_certificates.get(identity)
            or self.prior.certificates.get(identity)
        )

    def _keep(self, row: CertificateRow) -> None:
        new = self.changes.new_certificates
        (new if row.certificate in new else self.changes.changed_certificates)[row.certificate] = row

    def _document(self, document: bytes, identity: str) -> None:
        if document in self.prior.documents or document in self.changes.documents:
            raise InapplicableError("two documents cannot have one hash")
        self.changes.documents[document] = identity

    def _stream(self, subject: str) -> Stream:
        stream = self.changes.streams.get(subject)
        if stream is None:
            stream = self.changes.streams[subject] = self.prior.streams.get(subject) or Stream()
        return stream

    def _is_unknown(self, subject: str) -> bool:
        stream = self.changes.streams.get(subject) or self.prior.streams.get(subject)
        return stream is not None and stream.unknown

    def _next(self, subject: str, version: int) -> Stream:
        """Return the stream that an event continues; its version is set by the caller, once nothing can fail."""
        stream = self._stream(subject)
        if version != stream.version + 1 and not stream.unknown:
            raise IllegalError(_NOT_DENSE)
        return stream


_ASKED_ABOUT: Final = frozenset({"certificate", "arrangement", "network"})

_Handler = Callable[[_Folding, str, int, Any], None]

_HANDLERS: Final[dict[type[Any], tuple[str, _Handler]]] = {
    j.CertificateIssued: ("certificate", _Folding.issue),
    j.CertificateConfirmed: ("certificate", _Folding.change_certificate),
    j.CertificateReissued: ("certificate", _Folding.change_certificate),
    j.CertificateRevoked: ("certificate", _Folding.change_certificate),
    j.CertificateReinstated: ("certificate", _Folding.change_certificate),
    j.CertificateCorrected: ("certificate", _Folding.change_certificate),
    j.CertificateErased: ("certificate", _Folding.change_certificate),
    j.ArrangementDeclared: ("arrangement", _Folding.declare),
    j.ArrangementWithdrawn: ("arrangement", _Folding.withdraw),
    j.NetworkJoined: ("network", _Folding.member),
    j.NetworkLeft: ("network", _Folding.member),
    j.SchemeOpened: ("scheme", _Folding.count),
    j.SchemeAmended: ("scheme", _Folding.count),
    j.SchemeClosed: ("scheme", _Folding.count),
    j.KeyRotated: ("key", _Folding.rotate),
}
"""Event class → the noun of its subject and what it does. A type of a jurisdiction's log that is missing here is
found by a test."""

_EVOLVERS: Final[dict[type[Any], Callable[[CertificateRow, Any], None]]] = {
    j.CertificateConfirmed: certificates.confirm,
    j.CertificateReissued: certificates.reissue,
    j.CertificateRevoked: certificates.revoke,
    j.CertificateReinstated: certificates.reinstate,
    j.CertificateCorrected: certificates.correct,
}

_IDENTITIES: Final[dict[str, Callable[[str], object]]] = {
    "certificate": _UUID.fullmatch,
    "arrangement": _UUID.fullmatch,
    "network": _SLUG.fullmatch,
    "scheme": lambda identity: identity == "",
    "key": lambda identity: identity == "",
}
