"""Who takes part, by the federation's own log. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from tomoni.events import federation as f

State = Literal["open", "suspended", "quarantined"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """A jurisdiction as the federation's log has it; `state` None: never admitted."""

    code: str
    version: int = 0
    state: State | None = None
    keys: tuple[str, str, str] = ("", "", "")
    """Log key, heartbeat key, transport key."""
    next_transport: str | None = None
    """A transport key that is accepted beside the one in `keys`, which it will replace."""
    up_to: int | None = None
    """Where the history stands still, while suspended or quarantined."""

    @property
    def subject(self) -> str:
        """The stream."""
        return f"jurisdiction/{self.code}"

    @property
    def transport_keys(self) -> tuple[str, ...]:
        """The keys that connect to the hub, the one in force first."""
        return (self.keys[2],) if self.next_transport is None else (self.keys[2], self.next_transport)


def evolve(admission: Admission, event: object) -> Admission:
    """Return the admission after one of its events; others change nothing but the version."""
    match event:
        case f.JurisdictionAdmitted(data=data) | f.JurisdictionReadmitted(data=data):
            keys = (data.log_key, data.heartbeat_key, data.transport_key)
            return Admission(code=admission.code, version=data.version, state="open", keys=keys)
        case f.JurisdictionTransportKeyAccepted() | f.JurisdictionTransportKeyRetired():
            return _reconnecting(admission, event)
        case f.JurisdictionSuspended(data=data):
            return _stopped(admission, "suspended", data.version, data.from_size)
        case f.JurisdictionQuarantined(data=data):
            return _stopped(admission, "quarantined", data.version, data.proven_size)
        case f.JurisdictionSucceeded(data=data):
            return replace(admission, version=data.version)
        case _:
            return admission


def _reconnecting(
    admission: Admission, event: f.JurisdictionTransportKeyAccepted | f.JurisdictionTransportKeyRetired
) -> Admission:
    if isinstance(event, f.JurisdictionTransportKeyAccepted):
        return replace(admission, version=event.data.version, next_transport=event.data.transport_key)
    left = next((key for key in admission.transport_keys if key != event.data.transport_key), "")
    return replace(
        admission, version=event.data.version, keys=(admission.keys[0], admission.keys[1], left), next_transport=None
    )


def _stopped(admission: Admission, state: State, version: int, up_to: int) -> Admission:
    return replace(admission, version=version, state=state, up_to=up_to, next_transport=None)
