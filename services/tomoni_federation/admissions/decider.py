"""What may happen to a jurisdiction's admission and to a network: the rules of the federation's own log. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, TypedDict

from msgspec import UNSET, UnsetType

from tomoni import times
from tomoni.admission import AdmissionRequest, TransportKeyRequest
from tomoni.events import federation as f
from tomoni.history.admissions import Admission, evolve

Reason = Literal[
    "admission-not-proven",
    "admitted-with-other-keys",
    "branch-not-held",
    "branch-not-known",
    "illegal-entry-stands",
    "jurisdiction-not-admitted",
    "jurisdiction-not-open",
    "jurisdiction-open",
    "network-not-found",
    "size-not-proven",
]


class Refused(Exception):  # noqa: N818  # the word of the design
    """Nothing may happen; the reason is a kind of problem, the text says what to do, `fields` say it to programs."""

    def __init__(self, reason: Reason, text: str, **fields: int) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.text = text
        self.fields = fields


class Attributes(TypedDict):
    """The envelope of an event about to be made."""

    id: str
    source: str
    subject: str
    time: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What an event carries beside its data."""

    event_id: str
    origin: str
    at: datetime

    def attributes(self, subject: str) -> Attributes:
        """Return the envelope of an event about a subject."""
        return {"id": self.event_id, "source": self.origin, "subject": subject, "time": times.format_time(self.at)}


def admit(admission: Admission, request: AdmissionRequest, stamp: Stamp) -> tuple[f.JurisdictionAdmitted, ...]:
    """Admit a jurisdiction whose request is verified; nothing happens where it is admitted with these keys."""
    if admission.state is None:
        data = f.JurisdictionAdmittedData(
            version=admission.version + 1,
            code=request.code,
            log_key=request.log_key,
            heartbeat_key=request.heartbeat_key,
            transport_key=request.transport_key,
            proofs=request.proofs,
        )
        return (f.JurisdictionAdmitted(**stamp.attributes(admission.subject), data=data),)
    if admission.keys != _keys_of(request):
        raise Refused(
            "admitted-with-other-keys",
            "The jurisdiction is admitted with other keys. Suspend it, then readmit it with the new ones.",
        )
    if admission.state != "open":
        raise Refused("jurisdiction-not-open", "The jurisdiction is suspended or quarantined: readmit it.")
    return ()


def suspend(
    admission: Admission, from_size: int, proven_size: int, stamp: Stamp
) -> tuple[f.JurisdictionSuspended, ...]:
    """Stop accepting what follows a proven size; nothing happens where that is so already."""
    if admission.state is None:
        raise Refused("jurisdiction-not-admitted", "The jurisdiction was never admitted: check the code.")
    if admission.state == "quarantined":
        raise Refused("jurisdiction-not-open", "The jurisdiction is quarantined: nothing is accepted from it already.")
    if admission.state == "suspended" and admission.up_to == from_size:
        return ()
    _require_proven(from_size, proven_size)
    data = f.JurisdictionSuspendedData(version=admission.version + 1, from_size=from_size)
    return (f.JurisdictionSuspended(**stamp.attributes(admission.subject), data=data),)


def quarantine(
    admission: Admission, evidence: str, proven_size: int, stamp: Stamp
) -> tuple[f.JurisdictionQuarantined, ...]:
    """Record that a log contradicted itself; nothing happens where it is quarantined already."""
    if admission.state is None or admission.state == "quarantined":
        return ()
    data = f.JurisdictionQuarantinedData(version=admission.version + 1, evidence=evidence, proven_size=proven_size)
    return (f.JurisdictionQuarantined(**stamp.attributes(admission.subject), data=data),)


@dataclass(frozen=True, kw_only=True, slots=True)
class IllegalEntry:
    """The proven entry at which a log stopped because it is no legal event of it."""

    position: int
    receipt: int
    """The largest size with a receipt that leaves it out; 0 where none does."""


def going_on_from(admission: Admission, named: int | None, proven_size: int, illegal: IllegalEntry | None) -> int:
    """Return the size from which a history goes on: the one that is named, otherwise where it stands still.

    With an illegal entry in the way it would be quarantined again at once, and what leaves it out takes legal entries
    behind it out of the history too: a person has to name the size, and is told it.
    """
    if named is not None:
        return named
    size = min(proven_size, admission.up_to or 0)
    if illegal is not None and admission.state != "open" and size > illegal.position:
        raise Refused(
            "illegal-entry-stands",
            f"The entry at position {illegal.position} is no legal event: with it the history would be quarantined "
            f"again. Name from_size {illegal.receipt}, the last size before it that has a receipt, and have the town "
            f"write its history anew from there. Name {size} only if this service was wrong about the entry.",
            position=illegal.position,
            from_size=illegal.receipt,
        )
    return size


BranchIs = Literal["held", "seen", "unknown"]
"""Whether the history that is named is the one in the mirror, or another that the log's key has signed, or neither."""


def require_branch(
    admission: Admission, request: AdmissionRequest, named: int | None, branch: f.Branch, known: BranchIs
) -> None:
    """Raise Refused where a history cannot go on as the branch that is named; `named` is the size, where one was.

    Whoever holds the branch that is dropped has the log key of before, and could go on with it.
    """
    if admission.state in {None, "open"} or known == "held":
        return
    if known == "unknown":
        raise Refused(
            "branch-not-known",
            "No checkpoint of this size and root is in the history here or in the evidence against it. Take both from "
            "one of the checkpoints in the evidence.",
        )
    if named is None or named >= branch.size or admission.keys[0] == request.log_key:
        raise Refused(
            "branch-not-held",
            "The history here is the other one. Name from_size, the last size with a receipt on which both agree (0 is "
            "always one), and let the town ask with a new log key: who holds the other branch has the old one.",
        )


def readmit(
    admission: Admission,
    request: AdmissionRequest,
    from_size: int,
    proven_size: int,
    stamp: Stamp,
    branch: f.Branch | UnsetType = UNSET,
) -> tuple[f.JurisdictionReadmitted, ...]:
    """Let a history go on from a proven size with the keys of a verified request, as the branch that counts."""
    if admission.state is None:
        raise Refused("jurisdiction-not-admitted", "The jurisdiction was never admitted: admit it.")
    if admission.state == "open":
        if admission.keys == _keys_of(request):
            return ()
        raise Refused("jurisdiction-open", "The jurisdiction is open: suspend it before its keys are replaced.")
    _require_proven(from_size, proven_size)
    data = f.JurisdictionReadmittedData(
        version=admission.version + 1,
        from_size=from_size,
        log_key=request.log_key,
        heartbeat_key=request.heartbeat_key,
        transport_key=request.transport_key,
        proofs=request.proofs,
        branch=branch,
    )
    return (f.JurisdictionReadmitted(**stamp.attributes(admission.subject), data=data),)


def accept_transport_key(
    admission: Admission, request: TransportKeyRequest, stamp: Stamp
) -> tuple[f.JurisdictionTransportKeyAccepted, ...]:
    """Let a jurisdiction connect with another key too, by a verified request; nothing happens where it may already."""
    _require_open(admission)
    if request.transport_key in admission.transport_keys:
        return ()
    if request.replaces != admission.keys[2] or admission.next_transport is not None:
        raise Refused(
            "admitted-with-other-keys",
            "The request replaces a key that is not the only one in force. Retire the one before, and ask for a new "
            "request.",
        )
    data = f.JurisdictionTransportKeyAcceptedData(
        version=admission.version + 1,
        transport_key=request.transport_key,
        replaces=request.replaces,
        proofs=request.proofs,
    )
    return (f.JurisdictionTransportKeyAccepted(**stamp.attributes(admission.subject), data=data),)


def retire_transport_key(admission: Admission, stamp: Stamp) -> tuple[f.JurisdictionTransportKeyRetired, ...]:
    """Refuse the transport key that another was accepted beside; nothing happens where there is none."""
    _require_open(admission)
    if admission.next_transport is None:
        return ()
    data = f.JurisdictionTransportKeyRetiredData(version=admission.version + 1, transport_key=admission.keys[2])
    return (f.JurisdictionTransportKeyRetired(**stamp.attributes(admission.subject), data=data),)


def _require_open(admission: Admission) -> None:
    if admission.state is None:
        raise Refused("jurisdiction-not-admitted", "The jurisdiction was never admitted: admit it.")
    if admission.state != "open":
        raise Refused("jurisdiction-not-open", "The jurisdiction is suspended or quarantined: readmit it.")


def _keys_of(request: AdmissionRequest) -> tuple[str, str, str]:
    return (request.log_key, request.heartbeat_key, request.transport_key)


def _require_proven(from_size: int, proven_size: int) -> None:
    if from_size > proven_size:
        raise Refused("size-not-proven", "The history is not proven that far. Name a size that has a receipt.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network as the federation's log has it; `terms` None: not chartered."""

    name: str
    version: int = 0
    terms: f.NetworkTermsData | None = None
    members: tuple[tuple[str, date, date | None], ...] = ()
    """Member, first day, last day; as accepted, in order."""

    @property
    def subject(self) -> str:
        """The stream."""
        return f"network/{self.name}"


def evolve_network(network: Network, event: object) -> Network:
    """Return the network after one of its events."""
    match event:
        case f.NetworkChartered(data=data) | f.NetworkAmended(data=data):
            return replace(network, version=data.version, terms=data)
        case f.NetworkMemberAccepted(data=data):
            until = None if data.effective_until is UNSET else data.effective_until
            members = (*network.members, (data.member, data.effective_on, until))
            return replace(network, version=data.version, members=members)
        case _:
            return network


def charter(
    network: Network, terms: f.NetworkTermsData, stamp: Stamp
) -> tuple[f.NetworkChartered | f.NetworkAmended, ...]:
    """Charter a network, or amend it where it has other terms; the version in `terms` is set here."""
    terms = _versioned(terms, network.version + 1)
    if network.terms is None:
        return (f.NetworkChartered(**stamp.attributes(network.subject), data=terms),)
    if _versioned(network.terms, terms.version) == terms:
        return ()
    return (f.NetworkAmended(**stamp.attributes(network.subject), data=terms),)


def accept_member(
    network: Network, member: str, effective_on: date, effective_until: date | UnsetType, stamp: Stamp
) -> tuple[f.NetworkMemberAccepted, ...]:
    """Count a jurisdiction as a member from a day on; it must join by its own word too."""
    if network.terms is None:
        raise Refused("network-not-found", "There is no such network: charter it first.")
    if (member, effective_on, None if effective_until is UNSET else effective_until) in network.members:
        return ()
    data = f.NetworkMemberAcceptedData(
        version=network.version + 1, member=member, effective_on=effective_on, effective_until=effective_until
    )
    return (f.NetworkMemberAccepted(**stamp.attributes(network.subject), data=data),)


def _versioned(terms: f.NetworkTermsData, version: int) -> f.NetworkTermsData:
    return f.NetworkTermsData(
        version=version,
        name=terms.name,
        pattern=terms.pattern,
        kinds=tuple(sorted(set(terms.kinds))),
        services=tuple(sorted(set(terms.services))),
        effective_on=terms.effective_on,
        conditions=tuple(sorted(set(terms.conditions))),
    )


def fold(admission: Admission, events: Iterable[object]) -> Admission:
    """Return the admission after all its events."""
    for event in events:
        admission = evolve(admission, event)
    return admission
