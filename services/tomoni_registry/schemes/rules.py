"""The rules of one issuer, as data: who may get which certificate here. A town copies a preset and edits it."""

from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta

from tomoni.events.types import Code, Kind, OfferedKind, PublicText, Term
from tomoni_registry.certificates.application import CoupleFact, DocumentShown, Relation, Residence

PRESETS = ("amagasaki", "koto", "nikko", "nisshin", "osaka", "setagaya", "shibuya", "tokyo", "yokohama")


class RulesError(ValueError):
    """A file of rules is wrong; the text says where."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the structures a file of rules is made of."""


class Link(Rule, frozen=True, kw_only=True):
    """One way of being linked to the place; any one of an issuer's ways suffices."""

    one: Annotated[tuple[Residence, ...], Meta(min_length=1)] | None = None
    """What one of the two is; None: it does not matter."""
    other: Annotated[tuple[Residence, ...], Meta(min_length=1)] | None = None
    works_or_studies: bool = False
    """Whether instead one of the two has to work or study here."""
    same_address: bool = False
    """Whether both have to live, or be going to live, at one address."""

    def __post_init__(self) -> None:
        if not (self.one or self.works_or_studies):
            raise ValueError("a link says what one partner is, or works_or_studies")


class KindRules(Rule, frozen=True, kw_only=True):
    """Rules for one kind of certificate."""

    accepts: tuple[CoupleFact, ...] = ()
    """Couples of whom one of these is true; empty: any couple."""
    documents: tuple[DocumentShown, ...] = ()
    """Documents to be shown, all of them."""
    relations: tuple[Relation, ...] = ()
    """Whom a familyship may name; empty: nobody else than the two."""


class Rules(Rule, frozen=True, kw_only=True):
    """Everything an issuer asks for."""

    code: Code
    name: PublicText
    """The name of the scheme."""
    link: Annotated[tuple[Link, ...], Meta(min_length=1, max_length=10)]
    minimum_age: Annotated[int, Meta(ge=15, le=30)] = 18
    refuses: tuple[CoupleFact, ...] = ()
    """Couples of whom one of these is true get no certificate."""
    mover_term: Term | None = None
    """Time in which a mover has to prove the move; None: movers are not accepted."""
    retention: Term | None = None
    """Time after a certificate's end for which its personal data is kept; None: nothing is erased."""
    online: bool = False
    """Whether applications are taken online."""
    kinds: Annotated[dict[Kind, KindRules], Meta(min_length=1, max_length=10)]

    def offered_kinds(self) -> tuple[OfferedKind, ...]:
        """Return the kinds as a scheme's event has them."""
        term = self.mover_term or msgspec.UNSET
        return tuple(OfferedKind(kind=kind, conditional_term=term) for kind in sorted(self.kinds))


def parse_rules(data: bytes) -> Rules:
    """Return the rules of a TOML file's bytes; raise RulesError naming the place that is wrong."""
    try:
        return msgspec.toml.decode(data, type=Rules)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RulesError(f"the rules are wrong: {error}") from error


def preset(name: str) -> bytes:
    """Return the bytes of a preset; raise RulesError where there is none of that name."""
    if name not in PRESETS:
        raise RulesError(f"there is no preset of that name; there are: {', '.join(PRESETS)}")
    return resources.files("tomoni_registry.schemes").joinpath("presets", f"{name}.toml").read_bytes()
