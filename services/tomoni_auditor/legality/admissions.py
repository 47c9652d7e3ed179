"""What the federation's own log says: who takes part, with which keys, and which networks there are."""

from typing import Any, Final, Literal

from msgspec import structs

from tomoni.admission import AdmissionError, AdmissionRequest, verify_admission
from tomoni.events import federation as f
from tomoni_auditor.legality.steps import NotLegalError, Rule, State, Step

_State = Literal["open", "suspended", "quarantined"]


class Jurisdiction(State, kw_only=True):
    """A jurisdiction so far."""

    state: _State


def jurisdiction_of(federation: str) -> Rule:
    """Return the rule for a jurisdiction's admission to a federation; every key must have asked for it itself."""

    def jurisdiction(state: State, step: Step) -> State:
        code = step.subject.partition("/")[2]
        if step.cls is f.JurisdictionAdmitted:
            if state.version:
                raise NotLegalError("a jurisdiction is admitted once, and first")
            if step.data.code != code:
                raise NotLegalError("the event admits the jurisdiction that its subject names")
            _require_possession(federation, code, step.data)
            return Jurisdiction(state="open")
        if not isinstance(state, Jurisdiction):
            raise NotLegalError("a jurisdiction is admitted before anything else happens to it")
        if step.cls is f.JurisdictionReadmitted:
            _require_possession(federation, code, step.data)
        allowed, after = _CHANGES[step.cls]
        if state.state not in allowed:
            raise NotLegalError(f"this happens to a jurisdiction that is {' or '.join(allowed)}, not {state.state}")
        return structs.replace(state, state=after or state.state)

    return jurisdiction


class ReceiptKey(State, kw_only=True):
    """The key for receipts so far."""

    receipt_key: str


def receipt_key(state: State, step: Step) -> State:
    """Return the key for receipts after a step: each replaces the one before. Whether both signed is seen elsewhere."""
    if isinstance(state, ReceiptKey) and step.data.replaces != state.receipt_key:
        raise NotLegalError("the key for receipts that is replaced is the one before")
    return ReceiptKey(receipt_key=step.data.receipt_key)


def network(state: State, step: Step) -> State:
    """Return a network after a step: chartered once and first."""
    if (step.cls is f.NetworkChartered) != (state.version == 0):
        raise NotLegalError("a network is chartered once, and first")
    return state


_CHANGES: Final[dict[type[Any] | None, tuple[tuple[str, ...], _State | None]]] = {
    f.JurisdictionTransportKeyAccepted: (("open",), "open"),
    f.JurisdictionTransportKeyRetired: (("open",), "open"),
    f.JurisdictionSuspended: (("open", "suspended"), "suspended"),
    f.JurisdictionQuarantined: (("open", "suspended"), "quarantined"),
    f.JurisdictionReadmitted: (("suspended", "quarantined"), "open"),
    f.JurisdictionSucceeded: (("open", "suspended", "quarantined"), None),
}
"""Event class → in which states it may happen, and the state after it (None: the same)."""


def _require_possession(
    federation: str, code: str, data: f.JurisdictionAdmittedData | f.JurisdictionReadmittedData
) -> None:
    request = AdmissionRequest(
        code=code,
        log_key=data.log_key,
        heartbeat_key=data.heartbeat_key,
        transport_key=data.transport_key,
        proofs=data.proofs,
    )
    try:
        verify_admission(federation, request)
    except AdmissionError as error:
        raise NotLegalError(f"the keys admitted have asked for it themselves; {error}") from error
