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


class TransportKeyProofs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signatures over the request for another transport key: by the log's key, and by the next transport key."""

    log: Signature
    transport: Signature


class JurisdictionTransportKeyAcceptedData(Data, frozen=True, kw_only=True):
    """The next transport key, and the one it will replace."""

    transport_key: NkeyPublic
    replaces: NkeyPublic
    proofs: TransportKeyProofs


class JurisdictionTransportKeyAccepted(
    Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.transport-key-accepted.v1"
):
    """A jurisdiction may connect with another key too, until the one before is retired."""

    data: JurisdictionTransportKeyAcceptedData


class JurisdictionTransportKeyRetiredData(Data, frozen=True, kw_only=True):
    """The transport key that connects nobody any more."""

    transport_key: NkeyPublic


class JurisdictionTransportKeyRetired(
    Envelope, frozen=True, kw_only=True, tag="jp.tomoni.jurisdiction.transport-key-retired.v1"
):
    """A jurisdiction connects with its next transport key alone."""

    data: JurisdictionTransportKeyRetiredData


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


class Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A history, named by a checkpoint of it: its root at a size."""

    size: LogSize
    root: Sha256Hex


class JurisdictionReadmittedData(Data, frozen=True, kw_only=True):
    """The keys from now on, the proven size on which the history goes on, and which of two histories it is."""

    from_size: LogSize
    log_key: VerifierKey
    heartbeat_key: VerifierKey
    transport_key: NkeyPublic
    proofs: PossessionProofs
    branch: Branch | UnsetType = UNSET
    """The history that counts; it may be longer than what is proven of it, and any other is refused until it is."""


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


class ReceiptKeyProofs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signatures over the same rotation by both keys for receipts: the one replaced, and the next."""

    replaced: Signature
    next: Signature


class ReceiptKeyRotatedData(Data, frozen=True, kw_only=True):
    """The federation's next key for receipts, and the one whose receipts end with the event's time."""

    receipt_key: VerifierKey
    replaces: VerifierKey
    proofs: ReceiptKeyProofs


class ReceiptKeyRotated(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.receipt-key.rotated.v1"):
    """Receipts are cosigned by another key from the event's time on. Subject `receipt-key`."""

    data: ReceiptKeyRotatedData
