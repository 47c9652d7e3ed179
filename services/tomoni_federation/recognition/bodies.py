"""What is asked and answered about recognition, as JSON has it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tomoni.events import vocabulary
from tomoni.events.types import Code, Service
from tomoni.events.vocabulary import Words
from tomoni.history.recognition import Outcome, Standing
from tomoni.history.terms import TERMS
from tomoni.history.texts import RANKING_TEXTS, TEXTS, Ranking, Reason
from tomoni_federation.interface import Described
from tomoni_federation.status.api import VALID, Handle, Purpose, StatusAnswer


class RecognitionQuestion(Described, frozen=True, kw_only=True):
    """A document, the receiver who is asked to recognise it, for which service and on which day in Japan (today).

    The day may be up to 366 days ahead; the answer then says that it rests on what is known now. With `as_known_at` it
    is answered from what the federation had proven by that time and nothing that came later, and "today" is then.
    """

    issuer: Code
    handle: Handle
    receiver: Code
    service: Service
    purpose: Purpose
    on: date | None = None
    as_known_at: Annotated[datetime, Meta(tz=True)] | None = None


class ReasonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, for programs and for people."""

    code: Reason
    text: str


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that decided the answer; shown to auditors."""

    log: str
    position: int


class ConsideredAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An arrangement of the receiver that names the issuer: whether it prevailed, was outranked or does not apply."""

    arrangement: str
    pattern: str
    outcome: Standing
    reason: Reason | Ranking
    text: str
    entries: tuple[EntryAnswer, ...] = ()


class RecognitionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether it counts, under which arrangement and terms, what else to show, and why."""

    decision: Outcome
    reasons: tuple[ReasonAnswer, ...]
    certificate: StatusAnswer
    on: date
    receiver_fresh_as_of: datetime | None
    as_known_at: datetime | None = None
    pattern: str | None = None
    arrangement: str | None = None
    terms: str | None = None
    terms_ja: str | None = None
    conditions: tuple[str, ...] = ()
    considered: tuple[ConsideredAnswer, ...] = ()
    entries: tuple[EntryAnswer, ...] = ()


class ArrangementAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a receiver has declared. `until` is the last day on which it counts."""

    id: str
    receiver: str
    pattern: str
    kinds: tuple[str, ...]
    services: tuple[str, ...]
    effective_from: date
    until: date | None = None
    issuers: tuple[str, ...] = ()
    prefecture: str | None = None
    network: str | None = None
    conditions: tuple[str, ...] = ()
    precedence: int = 0
    keeps_recognised: bool = False
    unknown: bool = False


class ArrangementsAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a receiver's arrangements; `after` asks for the next one."""

    arrangements: tuple[ArrangementAnswer, ...]
    fresh_as_of: datetime | None
    after: str | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A code and what it is called."""

    code: str
    ja: str
    en: str


class PatternWord(Word, frozen=True, kw_only=True):
    """A pattern, what it is called and what recognition under it means."""

    terms_ja: str
    terms_en: str


class VocabularyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The words of arrangements and of questions about recognition, each in Japanese and English."""

    kinds: tuple[Word, ...]
    patterns: tuple[PatternWord, ...]
    services: tuple[Word, ...]
    conditions: tuple[Word, ...]


def _words(of: Mapping[str, Words]) -> tuple[Word, ...]:
    return tuple(Word(code=code, ja=words.ja, en=words.en) for code, words in of.items())


VOCABULARY: Final = VocabularyAnswer(
    kinds=_words(vocabulary.KINDS),
    patterns=tuple(
        PatternWord(code=code, ja=words.ja, en=words.en, terms_ja=TERMS[code].ja, terms_en=TERMS[code].en)
        for code, words in vocabulary.PATTERNS.items()
    ),
    services=_words(vocabulary.SERVICES),
    conditions=_words(vocabulary.CONDITIONS),
)

QUESTION: Final = RecognitionQuestion(
    issuer="131130",
    handle="0000-0000-0000-0000-00",
    receiver="131121",
    service="public-housing",
    purpose="counter",
)
RECOGNISED: Final = RecognitionAnswer(
    decision="recognised",
    reasons=(ReasonAnswer(code="arrangement-applies", text=TEXTS["arrangement-applies"]),),
    certificate=VALID,
    on=date(2026, 11, 23),
    receiver_fresh_as_of=datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
    pattern="E",
    arrangement="6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11",
    terms=TERMS["E"].en,
    terms_ja=TERMS["E"].ja,
    conditions=("identity-document",),
    considered=(
        ConsideredAnswer(
            arrangement="6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11",
            pattern="E",
            outcome="prevails",
            reason="only-one",
            text=RANKING_TEXTS["only-one"],
        ),
    ),
)
