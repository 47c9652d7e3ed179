"""The events of the federation's own log: who is admitted, with which keys, and which networks exist."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tomoni.events.types import (
    Code,
    Condition,
    Data,
    Day,
    Envelope,
    Kind,
    LogSize,
    NkeyPublic,
    Pattern,
    PublicText,
    Service,
    Sha256Hex,
    Signature,
    VerifierKey,
)


class PossessionProofs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signatures by each of the keys over the same admission statement: their holder asks to be admitted."""

    log: Signature
    heartbeat: Signature
    transport: Signature


class JurisdictionAdmittedData(Data, frozen=True, kw_only=True):
    """A jurisdiction and the keys it speaks with."""

    code: Code
    log_key: VerifierKey
    heartbeat_key: VerifierKey
    transport_key: NkeyPublic
    proofs: PossessionProofs


class JurisdictionAdmitted(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.admitted.v1"):
    """A jurisdiction may publish. Subject `jurisdiction/<code>`."""

    data: JurisdictionAdmittedData


class JurisdictionSuspendedData(Data, frozen=True, kw_only=True):
    """The proven size from which on nothing of this log is accepted."""

    from_size: LogSize


class JurisdictionSuspended(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.suspended.v1"):
    """A key is lost or stolen: the history up to a proven size stands, nothing after it is accepted."""

    data: JurisdictionSuspendedData


class JurisdictionQuarantinedData(Data, frozen=True, kw_only=True):
    """The evidence, by its hash, and the size up to which the history was proven before."""

    evidence: Sha256Hex
    proven_size: LogSize


class JurisdictionQuarantined(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.quarantined.v1"):
    """A log contradicted itself by its own signature; its issuer's answers are unknown."""

    data: JurisdictionQuarantinedData


class JurisdictionReadmittedData(Data, frozen=True, kw_only=True):
    """The keys from now on, and the proven size on which the history goes on."""

    from_size: LogSize
    log_key: VerifierKey
    heartbeat_key: VerifierKey
    transport_key: NkeyPublic
    proofs: PossessionProofs


class JurisdictionReadmitted(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.readmitted.v1"):
    """A suspended or quarantined jurisdiction goes on from a proven size."""

    data: JurisdictionReadmittedData


class JurisdictionSucceededData(Data, frozen=True, kw_only=True):
    """Who has taken over, and since when."""

    successor: Code
    effective_on: Day


class JurisdictionSucceeded(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.succeeded.v1"):
    """A jurisdiction merged into another."""

    data: JurisdictionSucceededData


class NetworkTermsData(Data, frozen=True, kw_only=True):
    """The common terms of a network."""

    name: PublicText
    pattern: Pattern
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=10)]
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=50)]
    effective_on: Day
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()


class NetworkChartered(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.network.chartered.v1"):
    """A network exists. Subject `network/<name>`."""

    data: NetworkTermsData


class NetworkAmended(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.network.amended.v1"):
    """A network's terms are others from a day on."""

    data: NetworkTermsData


class NetworkMemberAcceptedData(Data, frozen=True, kw_only=True):
    """A member, and the day from which the network counts it as one."""

    member: Code
    effective_on: Day
    effective_until: Day | UnsetType = UNSET


class NetworkMemberAccepted(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.network.member-accepted.v1"):
    """A jurisdiction that has joined is accepted; by its own word alone it is no member."""

    data: NetworkMemberAcceptedData
