"""The vocabulary of events: what their fields may hold, and the envelope they share.

An entry of a log is one structured-mode CloudEvent 1.0 in canonical JSON. `source` is the log's origin, `subject`
names the stream (what the event is about), `data.version` counts within the stream from 1. Personal data, handles
and reasons have no field to stand in: they stay in the issuing node's vault.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tomoni.events.vocabulary import CONDITIONS, SERVICES
from tomoni.times import TIME_PATTERN

MAX_ENTRY_BYTES = 60_000
"""Bytes of one entry; C2SP tlog-tiles bundles could hold 65,535, the broker's messages 65,536 with headers."""

Code = Annotated[
    str, Meta(pattern=r"^[0-9]{6}$(?!\n)", description="six-digit code of a jurisdiction", examples=["131130"])
]
PrefectureCode = Annotated[str, Meta(pattern=r"^[0-9]{2}$(?!\n)", description="JIS X 0401 prefecture", examples=["13"])]
Time = Annotated[str, Meta(pattern=TIME_PATTERN, max_length=27)]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)")]
Sha256Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$(?!\n)")]
Version = Annotated[int, Meta(ge=1, le=10_000)]
LogSize = Annotated[int, Meta(ge=0, le=2**53 - 1)]
VerifierKey = Annotated[str, Meta(max_length=512, description="C2SP signed-note verifier key")]
NkeyPublic = Annotated[str, Meta(pattern=r"^U[A-Z2-7]{55}$(?!\n)")]
Signature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{86}==$(?!\n)", description="64 bytes in base64")]
Subject = Annotated[str, Meta(pattern=r"^[!-~]{1,120}$(?!\n)")]
"""Visible ASCII: whoever stores the subject of an event, of an unknown type too, can do so (a NUL or a key of 50,000
characters would stop a projection for every town)."""
PublicText = Annotated[str, Meta(min_length=1, max_length=200)]

Kind = Literal["partnership", "familyship", "de-facto-partnership"]
"""What is certified: two partners; a family with children or parents; partners of whatever sex (事実婚)."""

RevocationEffect = Literal["ended", "void"]
"""`ended` from a date on, or `void` from the start (a false declaration, a clerical error)."""

Pattern = Literal["A", "B", "C", "D", "E"]
"""Mutual use, continuation, hand-over, fewer documents, service recognition (DOMAIN.md)."""

Service = Annotated[str, Meta(pattern=rf"^({'|'.join(SERVICES)}|x-[a-z0-9-]{{1,40}})$(?!\n)")]
"""What is asked for with a certificate; `x-…`: a local service."""

Condition = Annotated[str, Meta(pattern=rf"^({'|'.join(CONDITIONS)}|x-[a-z0-9-]{{1,40}})$(?!\n)")]
"""What else has to be shown or done; `x-…` is a local condition."""


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A length of time as an issuer's rules state it."""

    unit: Literal["days", "months"]
    count: Annotated[int, Meta(ge=1, le=120)]


class OfferedKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of certificate that a scheme offers; movers get it conditionally where a term is given."""

    kind: Kind
    conditional_term: Term | msgspec.UnsetType = msgspec.UNSET


class IssuerSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose certificates an arrangement is about: listed codes, a prefecture or a network. Exactly one."""

    codes: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=500)] | msgspec.UnsetType = msgspec.UNSET
    prefecture: PrefectureCode | msgspec.UnsetType = msgspec.UNSET
    network: Slug | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        given = [one for one in (self.codes, self.prefecture, self.network) if one is not msgspec.UNSET]
        if len(given) != 1:
            raise ValueError("issuers are named by codes, by a prefecture or by a network: exactly one of them")


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every event's data holds: its version within its stream."""

    version: Version


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The CloudEvents attributes common to all events (CloudEvents 1.0 §3.1, JSON format §3)."""

    id: Uuid
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    subject: Subject
    time: Time
    datacontenttype: Literal["application/json"] = "application/json"
    specversion: Literal["1.0"] = "1.0"


def stream_of(noun: str, identity: str = "") -> str:
    """Return the subject of a stream: `certificate/<uuid>`, or the noun alone where a log has just one."""
    return f"{noun}/{identity}" if identity else noun


Day = date
"""A calendar day in Japan, `2026-11-23`."""
