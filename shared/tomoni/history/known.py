"""Everything an answer about recognition is made from, and how it follows from the entries known at a time. Pure.

Whoever reads the entries, from a database or from files, folds them with `Past` and puts the answer together with
`known_then`; live answers fill `Known` from the rows that the same fold has made.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, cast

from msgspec import UnsetType
from msgspec.structs import replace

from tomoni.events import federation as f
from tomoni.history.arrangements import Arrangement, Question
from tomoni.history.certificates import as_certificate
from tomoni.history.fold import Changes, Prior, decode, fold
from tomoni.history.networks import Acceptance, Change, Charter, Network, Standing
from tomoni.history.recognition import Decision, ReceiverView
from tomoni.history.recognition import decide as decide_recognition
from tomoni.history.status import Answer, Document, IssuerView
from tomoni.history.status import decide as decide_status


class Known(NamedTuple):
    """Everything a decision is made from."""

    document: Document | None
    issuer: IssuerView
    receiver: IssuerView
    arrangements: tuple[Arrangement, ...]
    unreadable: bool
    networks: Mapping[str, Network]


def decide(question: Question, known: Known, *, max_age: timedelta, now: datetime) -> tuple[Answer, Decision]:
    """Return the status on the question's day and the decision, from knowledge no older than `max_age` at `now`."""
    status = decide_status(known.document, known.issuer, max_age=max_age, now=now, on=question.on)
    view = ReceiverView(
        known=_is_known(known.receiver, max_age, now),
        arrangements=known.arrangements,
        networks=known.networks,
        unreadable=known.unreadable,
    )
    return status, decide_recognition(question, known.document, status, view)


def _is_known(receiver: IssuerView, max_age: timedelta, now: datetime) -> bool:
    if receiver.state not in {"open", "suspended"} or receiver.halted or receiver.unknown or receiver.is_taken_back:
        return False
    return receiver.fresh_as_of is not None and now - receiver.fresh_as_of <= max_age


class Told:
    """What was said about networks, collected."""

    def __init__(self) -> None:
        self.charters: defaultdict[str, list[Charter]] = defaultdict(list)
        self.changes: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
        self.acceptances: defaultdict[tuple[str, str], list[Acceptance]] = defaultdict(list)
        self.unclear: set[tuple[str, str]] = set()

    def hear(self, network: str, entries: Iterable[tuple[int, object]]) -> None:
        """Take in what the federation's own log says about a network: each event with its position."""
        accepted: dict[tuple[str, date], Acceptance] = {}
        for position, event in entries:
            match event:
                case f.NetworkChartered(data=data) | f.NetworkAmended(data=data):
                    self.charters[network].append(_charter(data, position))
                case f.NetworkMemberAccepted(data=data):
                    until = None if isinstance(data.effective_until, UnsetType) else data.effective_until
                    accepted[data.member, data.effective_on] = Acceptance(data.effective_on, until, position)
                case _:
                    pass
        for (member, _), acceptance in accepted.items():
            self.acceptances[network, member].append(acceptance)

    def networks(self, names: Iterable[str], issuer: str, receiver: str) -> dict[str, Network]:
        """Return each network as an answer about an issuer and a receiver needs it."""
        return {
            name: Network(
                charters=tuple(self.charters[name]),
                issuer=self._standing(name, issuer),
                receiver=self._standing(name, receiver),
                unclear=(issuer, name) in self.unclear,
            )
            for name in names
        }

    def _standing(self, name: str, log: str) -> Standing:
        return Standing(changes=tuple(self.changes[name, log]), acceptances=tuple(self.acceptances[name, log]))


@dataclass(slots=True)
class Past:
    """One log as it was known at a time: its view, its size then, and what the entries that are asked for say."""

    view: IssuerView
    size: int
    changes: Changes = field(default_factory=lambda: Changes("", 0))

    def replay(self, log: str, entries: Sequence[tuple[int, bytes]], *, complete: bool) -> None:
        """Fold entries, whole streams of the log, as they were folded when they came.

        `complete`: none of those asked for is missing; otherwise the log counts as halted.
        """
        decoded = decode(entries)
        if not complete:
            self.view = _halted(self.view)
        sources = [entry.event.source for entry in decoded if entry.event is not None]
        if not sources:
            return
        changes = self.changes = fold(log, sources[0], decoded, Prior())
        view = _halted(self.view) if changes.fault is not None else self.view
        self.view = replace(view, unknown=changes.unknown, missing_unknown=changes.missing_unknown)

    def arrangements(self) -> list[Arrangement]:
        """Return what the log declares, in order of identity."""
        withdrawn = {row[1]: (row[2], row[3]) for row in self.changes.withdrawals}
        unknown = self.unknown("arrangement")
        rows = sorted(self.changes.arrangements, key=lambda row: str(row[1]))
        return [_arrangement(row, withdrawn, unknown) for row in rows]

    def networks_named(self) -> list[str]:
        """Return the networks that the log's arrangements name, in order."""
        return sorted({one.network for one in self.arrangements() if one.network is not None})

    def document(self, document: bytes) -> Document | None:
        """Return a document by its hash, with its certificate."""
        identity = self.changes.documents.get(document)
        if identity is None:
            return None
        row = self.changes.new_certificates[identity]
        certificate = as_certificate(row)
        return Document(certificate=certificate, current=row.document == document)

    def unknown(self, noun: str) -> set[str]:
        """Return what an event of an unknown type is about, of one noun."""
        streams = {subject for subject, stream in self.changes.streams.items() if stream.unknown}
        return {subject.partition("/")[2] for subject in streams if subject.startswith(f"{noun}/")}

    def is_unreadable(self) -> bool:
        """Tell whether something was said about the log's arrangements, or networks, that cannot be read at all."""
        declared = {one.id for one in self.arrangements()}
        return bool(self.unknown("network") or self.unknown("arrangement") - declared)

    def tell_memberships(self, told: Told) -> None:
        """Tell the town's own word about its memberships."""
        memberships = cast("list[tuple[str, int, str, bool, date]]", self.changes.memberships)
        for log, position, network, member, effective_on in memberships:
            told.changes[network, log].append(Change(effective_on, position, member))


def known_then(key: tuple[str, bytes], receiver: str, issuing: Past, declaring: Past, told: Told) -> Known:
    """Return what was known of a document, by issuer and hash, and of a receiver; `told` has the federation's words."""
    issuer, document = key
    names = declaring.networks_named()
    for past in (issuing, declaring) if issuer != receiver else (issuing,):
        past.tell_memberships(told)
    told.unclear.update((issuer, name) for name in issuing.unknown("network"))
    return Known(
        document=issuing.document(document),
        issuer=issuing.view,
        receiver=declaring.view,
        arrangements=tuple(declaring.arrangements()),
        unreadable=declaring.is_unreadable(),
        networks=told.networks(names, issuer, receiver),
    )


def _halted(view: IssuerView) -> IssuerView:
    return IssuerView(state=view.state, fresh_as_of=view.fresh_as_of, halted=True)


def _arrangement(row: Sequence[Any], withdrawn: Mapping[object, tuple[Any, Any]], unknown: set[str]) -> Arrangement:
    _, identity, pattern, codes, prefecture, network, kinds, services, first, last, conditions, rank, keeps, at = row
    withdrawn_on, withdrawn_position = withdrawn.get(identity, (None, None))
    return Arrangement(
        id=identity,
        position=at,
        pattern=pattern,
        codes=frozenset(codes),
        prefecture=prefecture,
        network=network,
        kinds=frozenset(kinds),
        services=frozenset(services),
        effective_from=first,
        effective_until=last,
        withdrawn_on=withdrawn_on,
        withdrawn_position=withdrawn_position,
        conditions=tuple(conditions),
        precedence=rank,
        keeps_recognised=keeps,
        unknown=identity in unknown,
    )


def _charter(data: f.NetworkTermsData, position: int) -> Charter:
    return Charter(
        data.effective_on, position, data.pattern, frozenset(data.kinds), frozenset(data.services), data.conditions
    )
