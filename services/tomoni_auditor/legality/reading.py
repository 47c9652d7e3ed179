"""Reading all entries of a log as events, and finding the first that is not legal.

Bytes, source and subject are judged as an entry is read. Its place in the life of its subject is judged in a second
pass over what was laid aside, subject by subject, so that memory stays flat whatever the log holds.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tomoni.events import Event, EventError, UnknownEvent, decode_event
from tomoni.events import jurisdiction as j
from tomoni_auditor.legality.laws import law_of
from tomoni_auditor.legality.spill import Spill
from tomoni_auditor.legality.steps import Law, NotLegalError, State, Step, load, store, store_unknown

_POSITION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Illegal:
    """An entry that is not legal, and what would have been."""

    position: int
    expected: str


class Reading:
    """The entries of one log, in order; a context, since it lays things aside on disk."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._law: Law = law_of(origin)
        self._steps = Spill()
        self._documents = Spill()
        self._first: Illegal | None = None
        self._judging = True
        self.unknown = 0
        """Events of a type that this version does not know: what they are about is not judged after them."""

    def __enter__(self) -> Self:
        self._steps.__enter__()
        self._documents.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._documents.__exit__(kind, error, trace)
        self._steps.__exit__(kind, error, trace)

    def take(self, position: int, entry: bytes) -> Event | None:
        """Read one entry and return its event; None where it is not legal by itself, or of an unknown type."""
        try:
            event = decode_event(entry)
            if event.source != self._origin:
                raise NotLegalError(f"an event whose source is {self._origin}")
            if isinstance(event, UnknownEvent):
                self._take_unknown(position, event)
                return None
            self._require_subject(event)
        except EventError as error:
            self.note(position, f"a legal event: {error}")
            return None
        except NotLegalError as error:
            self.note(position, str(error))
            return None
        if self._judging:
            self._steps.put(event.subject.encode(), store(position, event))
            if isinstance(event, j.CertificateIssued | j.CertificateReissued):
                document = bytes.fromhex(event.data.document)
                self._documents.put(document, position.to_bytes(_POSITION_BYTES, "big") + document)
        return event

    def first_illegal(self) -> Illegal | None:
        """Return the first entry that is not legal, once all were read."""
        for part in self._steps.parts():
            states: dict[str, State] = {}
            for record in part:
                self._judge(states, load(record))
        for part in self._documents.parts():
            seen: set[bytes] = set()
            for record in part:
                document = bytes(record[_POSITION_BYTES:])
                if document in seen:
                    self.note(int.from_bytes(record[:_POSITION_BYTES], "big"), "a document that no entry named before")
                seen.add(document)
        return self._first

    def _take_unknown(self, position: int, event: UnknownEvent) -> None:
        self.unknown += 1
        if event.subject is None or event.subject.partition("/")[0] == "key":
            self._judging = False  # it is about the whole log
        elif self._judging:
            self._steps.put(event.subject.encode(), store_unknown(position, event.subject))

    def _require_subject(self, event: Event) -> None:
        noun = self._law.types.get(type(event))
        if noun is None:
            raise NotLegalError("an event of a type that this log may hold")
        found, _, identity = event.subject.partition("/")
        whole = noun if not identity else f"{noun}/{identity}"
        if found != noun or event.subject != whole or not self._law.nouns[noun].is_identity(identity):
            raise NotLegalError(f"an event whose subject is a {noun}")

    def _judge(self, states: dict[str, State], step: Step) -> None:
        state = states.get(step.subject) or State()
        if step.cls is None:
            states[step.subject] = State(version=state.version, unknown=True)
            return
        if state.unknown:
            return
        try:
            if step.version != state.version + 1:
                raise NotLegalError(f"version {state.version + 1} of {step.subject}, not {step.version}")
            after = self._law.nouns[step.subject.partition("/")[0]].rule(state, step)
        except NotLegalError as error:
            self.note(step.position, str(error))
            states[step.subject] = State(unknown=True)  # one fault is enough for a subject
            return
        after.version = step.version
        states[step.subject] = after

    def note(self, position: int, expected: str) -> None:
        """Note that an entry is not legal; of several the first counts."""
        if self._first is None or position < self._first.position:
            self._first = Illegal(position, expected)
