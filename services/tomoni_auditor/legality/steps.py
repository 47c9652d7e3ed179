"""A step in the life of one subject: what the rules need of an entry, small enough to lay aside by the million."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, cast, get_args, get_type_hints

import msgspec

from tomoni.events import Event, FederationEvent, JurisdictionEvent
from tomoni.times import day_in_japan, parse_time

UNKNOWN: Final = -1
"""In place of a type: an event of a type this version does not know was about the subject."""


class NotLegalError(Exception):
    """An entry is no legal event of its log, or not one at its place; the text says what would have been."""


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """A step as it is laid aside; `type` is an index into `TYPES`, `day` the day in Japan of the event's time."""

    position: int
    subject: str
    type: int
    day: date
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Step:
    """A step as the rules see it; `cls` None is an event of an unknown type."""

    position: int
    subject: str
    cls: type[Any] | None
    day: date
    data: Any

    @property
    def version(self) -> int:
        """The version within the subject's stream."""
        return cast("int", self.data.version)


class State(msgspec.Struct, kw_only=True):
    """What the rules remember of a subject; a noun's own state adds to it."""

    version: int = 0
    unknown: bool = False
    """An event of an unknown type was about it: nothing after it can be judged."""


Rule = Callable[[State, Step], State]
"""Gives the state after a step, or raises NotLegalError. The version is checked and set by the caller."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What a subject may be called, and the rule for its life; `identity` is given what follows the slash."""

    is_identity: Callable[[str], object]
    rule: Rule


@dataclass(frozen=True, slots=True)
class Law:
    """The rules for one kind of log: which noun each of its event types is about, and the nouns."""

    types: Mapping[type[Any], str]
    nouns: Mapping[str, Noun]


TYPES: Final[tuple[type[Any], ...]] = cast(
    "tuple[type[Any], ...]", tuple(dict.fromkeys(get_args(JurisdictionEvent) + get_args(FederationEvent)))
)

_NUMBERS: Final = {cls: number for number, cls in enumerate(TYPES)}
_DATA: Final = tuple(msgspec.msgpack.Decoder(get_type_hints(cls)["data"]) for cls in TYPES)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Stored)
_NOTHING: Final = msgspec.Raw(_encoder.encode(None))


def store(position: int, event: Event) -> bytes:
    """Return the bytes of the step of an event."""
    day = day_in_japan(parse_time(event.time))
    data = msgspec.Raw(_encoder.encode(event.data))
    return _encoder.encode(Stored(position, event.subject, _NUMBERS[type(event)], day, data))


def store_unknown(position: int, subject: str) -> bytes:
    """Return the bytes of the step of an event of an unknown type."""
    return _encoder.encode(Stored(position, subject, UNKNOWN, date.min, _NOTHING))


def load(data: bytes | memoryview) -> Step:
    """Return the step of bytes of `store` or `store_unknown`."""
    stored = _decoder.decode(data)
    if stored.type == UNKNOWN:
        return Step(stored.position, stored.subject, None, stored.day, None)
    content = _DATA[stored.type].decode(stored.data)
    return Step(stored.position, stored.subject, TYPES[stored.type], stored.day, content)
