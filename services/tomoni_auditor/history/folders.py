"""Proving a folder of logs: first the federation's own, which says whose keys are whose, then each jurisdiction's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tomoni.events import Event
from tomoni.events import federation as f
from tomoni.key_names import heartbeat_key_name, receipt_key_name
from tomoni.receipt_keys import ReceiptKeys, Rotation, RotationError, rotation_of
from tomoni.tlog.cosignature import CosignatureVerifier, parse_verifier
from tomoni.tlog.note import ED25519
from tomoni_auditor.archive.folder import CHECKPOINT, FEDERATION, LogFolder, logs_in
from tomoni_auditor.history.branches import require_branches
from tomoni_auditor.history.faults import HistoryFault, HistoryFaultError
from tomoni_auditor.history.proving import Proven, Trust, prove_log
from tomoni_auditor.verify.sources import SourceError

Progress = Callable[[str, int, int], None]
"""Told of which log how many entries are verified, of how many."""

Finding = Proven | HistoryFault

_Admission = f.JurisdictionAdmitted | f.JurisdictionReadmitted | f.JurisdictionSuspended | f.JurisdictionQuarantined


@dataclass(slots=True)
class Admissions:
    """What the federation's own log says of each jurisdiction, in order."""

    by_code: dict[str, list[_Admission]] = field(default_factory=dict[str, list[_Admission]])
    receipt_keys: list[Rotation] = field(default_factory=list[Rotation])
    """Rotations of the federation's key for receipts."""
    receipt_key_at: int | None = None
    """Position of the last of them."""

    def hear(self, position: int, event: Event) -> None:
        """Take one event of that log."""
        if isinstance(event, f.ReceiptKeyRotated):
            self.receipt_keys.append(rotation_of(event))
            self.receipt_key_at = position
        if isinstance(event, _Admission):
            self.by_code.setdefault(event.subject.partition("/")[2], []).append(event)

    def trust_in(self, code: str, receipts: ReceiptKeys | None) -> Trust | None:
        """Return whose word counts for a jurisdiction's log; None where it was never admitted."""
        admitted: list[tuple[int, list[str]]] = []
        heartbeat_keys: list[str] = []
        ends_at: int | None = None
        branches: list[f.Branch] = []
        evidence: list[str] = []
        for event in self.by_code.get(code, ()):
            match event:
                case f.JurisdictionAdmitted(data=data):
                    admitted.append((0, [data.log_key]))
                    heartbeat_keys.append(data.heartbeat_key)
                case f.JurisdictionReadmitted(data=data):
                    admitted.append((data.from_size, [data.log_key]))
                    heartbeat_keys.append(data.heartbeat_key)
                    ends_at = None
                    branches = [one for one in branches if one.size <= data.from_size]
                    if isinstance(data.branch, f.Branch):
                        branches.append(data.branch)
                case f.JurisdictionSuspended(data=data):
                    ends_at = data.from_size
                case f.JurisdictionQuarantined(data=data):
                    evidence.append(data.evidence)  # its history stands as far as proven; its answers are unknown
        if not admitted:
            return None
        return Trust(
            admitted=admitted,
            heartbeat_keys=heartbeat_keys,
            receipts=receipts,
            ends_at=ends_at,
            branches=branches,
            evidence=evidence,
        )


class Keys:
    """The verifier keys an auditor has: of logs, and for receipts, told apart by their types and names."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the texts; raise NoteError where one is none."""
        self._texts = {text: parse_verifier(text) for text in texts}

    def origin_of(self, code: str) -> str:
        """Return the origin of the log of a code whose key was given; raise SourceError where there is not one."""
        of_logs = {key.name for key in self._texts.values() if key.key_type == ED25519}
        found = sorted(name for name in of_logs if name.rpartition("/")[2] == code)
        if len(found) != 1:
            what = f"keys of several logs were given: {', '.join(found)}" if found else "no key was given"
            raise SourceError(f"{what} for the log of {code}: give the verifier key of one by --key")
        return found[0]

    def of_log(self, origin: str) -> list[str]:
        """Return the keys of the log of an origin."""
        return [text for text, key in self._texts.items() if key.key_type == ED25519 and key.name == origin]

    def for_receipts(self, origin: str) -> ReceiptKeys | None:
        """Return the keys for receipts of the federation to which the log of an origin belongs; None without any."""
        federation = origin.rpartition("/")[0]
        of_type = (key for key in self._texts.values() if isinstance(key, CosignatureVerifier))
        keys = ReceiptKeys(federation, [key for key in of_type if key.name == receipt_key_name(federation)])
        return keys if len(keys) else None

    def trust_in(self, origin: str) -> Trust:
        """Return the trust in a log whose own keys were given, a key for heartbeats among them if there is one."""
        heartbeat_keys = [text for text, key in self._texts.items() if key.name == heartbeat_key_name(origin)]
        of_log, receipts = self.of_log(origin), self.for_receipts(origin)
        return Trust(admitted=[(0, of_log)], heartbeat_keys=heartbeat_keys, receipts=receipts)


def prove_folder(
    folder: Path, keys: Keys, codes: Sequence[str] = (), on_progress: Progress | None = None
) -> Iterator[Finding]:
    """Yield the finding of each log in a folder, or of those named; a fault of the federation's own log ends it.

    With that log its key is enough: the others' keys are in its entries. Without it each log's own key is needed.
    Raises SourceError where a log cannot be read or its key is not given.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    found = logs_in(folder)
    missing = sorted(set(codes) - set(found))
    if missing or not found:
        raise SourceError(f"{folder} holds no log of {', '.join(missing) or 'any jurisdiction'}: fetch it first")
    if FEDERATION not in found:
        for code in found:
            if not codes or code in codes:
                origin = keys.origin_of(code)
                yield _prove(folder, code, origin, keys.trust_in(origin), on_progress)
        return
    origin, admissions = keys.origin_of(FEDERATION), Admissions()
    finding = _prove(folder, FEDERATION, origin, keys.trust_in(origin), on_progress, admissions.hear)
    yield finding
    if isinstance(finding, HistoryFault):
        return
    receipts = keys.for_receipts(origin)
    if (false_key := _learn(receipts, admissions)) is not None:
        yield false_key
        return
    for code in found[1:]:
        if codes and code not in codes:
            continue
        trust = admissions.trust_in(code, receipts)
        of_town = f"{origin.rpartition('/')[0]}/{code}"
        yield _never_admitted(code) if trust is None else _prove(folder, code, of_town, trust, on_progress)


def _prove(
    folder: Path,
    code: str,
    origin: str,
    trust: Trust,
    on_progress: Progress | None,
    on_event: Callable[[int, Event], None] | None = None,
) -> Finding:
    def show(verified: int, size: int) -> None:
        if on_progress is not None:
            on_progress(code, verified, size)

    try:
        proven = prove_log(LogFolder(folder / code), code, origin, trust, on_event, show)
        require_branches(LogFolder(folder / code), code, trust.branches)
        return proven
    except HistoryFaultError as error:
        return error.fault


def _learn(receipts: ReceiptKeys | None, admissions: Admissions) -> HistoryFault | None:
    """Take the federation's later and earlier keys for receipts; return what is wrong with one."""
    try:
        if receipts is not None:
            receipts.learn(admissions.receipt_keys)
    except RotationError as error:
        path, position = f"{FEDERATION}/{CHECKPOINT}", admissions.receipt_key_at
        expected = "keys for receipts, each signed for by the one before and by itself"
        return HistoryFault(code="receipt", path=path, position=position, expected=expected, found=str(error))
    return None


def _never_admitted(code: str) -> HistoryFault:
    path = f"{code}/{CHECKPOINT}"
    expected = "its admission in the federation's own log"
    return HistoryFault(code="admission", path=path, position=None, expected=expected, found="none")
