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
    up_to: int | None = None
    """Where the history stands still, while suspended or quarantined."""

    @property
    def subject(self) -> str:
        """The stream."""
        return f"jurisdiction/{self.code}"


def evolve(admission: Admission, event: object) -> Admission:
    """Return the admission after one of its events; others change nothing but the version."""
    match event:
        case f.JurisdictionAdmitted(data=data) | f.JurisdictionReadmitted(data=data):
            keys = (data.log_key, data.heartbeat_key, data.transport_key)
            return replace(admission, version=data.version, state="open", keys=keys, up_to=None)
        case f.JurisdictionSuspended(data=data):
            return replace(admission, version=data.version, state="suspended", up_to=data.from_size)
        case f.JurisdictionQuarantined(data=data):
            return replace(admission, version=data.version, state="quarantined", up_to=data.proven_size)
        case f.JurisdictionSucceeded(data=data):
            return replace(admission, version=data.version)
        case _:
            return admission
