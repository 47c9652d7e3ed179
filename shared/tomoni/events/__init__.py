"""Events: what a log's entries say, their canonical bytes, and reading them so that all readers agree."""

from tomoni.events.codec import (
    EVENT_TYPES,
    Event,
    EventError,
    FederationEvent,
    JurisdictionEvent,
    UnknownEvent,
    decode_event,
    encode_event,
)
from tomoni.events.types import MAX_ENTRY_BYTES, stream_of

__all__ = [
    "EVENT_TYPES",
    "MAX_ENTRY_BYTES",
    "Event",
    "EventError",
    "FederationEvent",
    "JurisdictionEvent",
    "UnknownEvent",
    "decode_event",
    "encode_event",
    "stream_of",
]
