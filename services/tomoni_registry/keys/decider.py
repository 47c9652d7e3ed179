"""The key of the log as its events make it. The first one is known from the admission, not from an event."""

import msgspec

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import KeyRotated, KeyRotatedData
from tomoni_registry.deciding import Command, Refused, refuse_stale

SUBJECT = "key"


class LogKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The verifier keys the log was rotated to, oldest first."""

    version: int = 0
    rotated: tuple[str, ...] = ()


class Rotate(Command, frozen=True, kw_only=True):
    """Go on with another key; `current` is the verifier key that signs now."""

    current: str
    log_key: str


def decide(state: LogKeys, command: Rotate) -> tuple[JurisdictionEvent, ...]:
    """Return what happens; raise Refused where nothing may."""
    refuse_stale(command.seen, state.version)
    if command.log_key in (command.current, *state.rotated):
        raise Refused("key-in-use", "the next key was used before: make a new one")
    data = KeyRotatedData(version=state.version + 1, log_key=command.log_key)
    return (KeyRotated(**command.stamp.attributes(SUBJECT), data=data),)


def evolve(state: LogKeys, event: JurisdictionEvent) -> LogKeys:
    """Return the keys after one event; other events change nothing."""
    if isinstance(event, KeyRotated):
        return LogKeys(version=event.data.version, rotated=(*state.rotated, event.data.log_key))
    return state
