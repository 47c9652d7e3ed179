"""May these two have this certificate here? A pure decision: one issuer's rules applied to one application."""

from collections.abc import Iterator
from datetime import date

import msgspec

from tomoni.events.types import Kind, Term
from tomoni_registry.certificates.application import Application, Partner, Residence
from tomoni_registry.schemes.rules import KindRules, Link, Rules
from tomoni_registry.terms import last_day_of_term


class BrokenRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that is not met: its name in the file of rules, and what it asks for. Never who did not meet it."""

    rule: str
    asks: str


class Eligible(msgspec.Struct, frozen=True, kw_only=True):
    """The rules are met; `mover`: only because somebody is about to move in, so the certificate is conditional."""

    mover: bool


class Ineligible(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that are not met, all of them."""

    broken: tuple[BrokenRule, ...]


def decide(rules: Rules, kind: Kind, application: Application, certified_on: date) -> Eligible | Ineligible:
    """Return whether an application meets the rules on the certified day."""
    kind_rules = rules.kinds.get(kind)
    if kind_rules is None:
        return Ineligible(broken=(BrokenRule(rule="kinds", asks=f"one of: {', '.join(sorted(rules.kinds))}"),))
    resident = any(_linked(link, application, movers=False) for link in rules.link)
    mover = not resident and any(_linked(link, application, movers=True) for link in rules.link)
    broken = (
        *_about_the_link(rules, application, certified_on, mover=mover, linked=resident or mover),
        *_about_the_couple(rules, kind_rules, application, certified_on),
        *_about_the_application(rules, kind_rules, application, certified_on),
    )
    return Ineligible(broken=broken) if broken else Eligible(mover=mover)


def _linked(link: Link, application: Application, *, movers: bool) -> bool:
    """Whether one way of being linked holds; with `movers`, being about to move in counts where the way allows it."""
    if link.same_address and not application.same_address:
        return False
    if link.works_or_studies and not any(partner.works_or_studies_here for partner in application.partners):
        return False
    first, second = application.partners
    return any(
        _is(one, link.one, movers=movers) and _is(other, link.other, movers=movers)
        for one, other in ((first, second), (second, first))
    )


def _is(partner: Partner, wanted: tuple[Residence, ...] | None, *, movers: bool) -> bool:
    if wanted is None:
        return True
    return partner.residence in wanted and (movers or partner.residence != "moving-in")


def _about_the_link(
    rules: Rules, application: Application, certified_on: date, *, mover: bool, linked: bool
) -> Iterator[BrokenRule]:
    if not linked:
        yield BrokenRule(rule="link", asks=" or ".join(_in_words(link) for link in rules.link))
        return
    if not mover:
        return
    if rules.mover_term is None:
        yield BrokenRule(rule="mover_term", asks="residents: there is no term for movers here")
        return
    until = last_day_of_term(certified_on, rules.mover_term)
    moves = [partner.moves_in_on for partner in application.partners if partner.moves_in_on is not None]
    if any(day > until for day in moves):
        yield BrokenRule(rule="mover_term", asks=f"a move within {_term_in_words(rules.mover_term)}, until {until}")


def _about_the_couple(
    rules: Rules, kind_rules: KindRules, application: Application, certified_on: date
) -> Iterator[BrokenRule]:
    facts = set(application.facts)
    if kind_rules.accepts and not facts & set(kind_rules.accepts):
        yield BrokenRule(rule="accepts", asks=f"one of: {', '.join(kind_rules.accepts)}")
    if facts & set(rules.refuses):
        yield BrokenRule(rule="refuses", asks=f"none of: {', '.join(rules.refuses)}")
    if any(_age(partner.birth_date, certified_on) < rules.minimum_age for partner in application.partners):
        yield BrokenRule(rule="minimum_age", asks=f"an age of {rules.minimum_age} or more on the certified day")


def _about_the_application(
    rules: Rules, kind_rules: KindRules, application: Application, certified_on: date
) -> Iterator[BrokenRule]:
    if application.applied_on > certified_on:
        yield BrokenRule(rule="applied_on", asks="an application on the certified day or before")
    if set(kind_rules.documents) - set(application.documents):
        yield BrokenRule(rule="documents", asks=f"all of: {', '.join(kind_rules.documents)}")
    if application.submitted == "online" and not rules.online:
        yield BrokenRule(rule="online", asks="an application at the counter")
    if bool(kind_rules.relations) != bool(application.family):
        asks = f"at least one of: {', '.join(kind_rules.relations)}" if kind_rules.relations else "the two alone"
        yield BrokenRule(rule="relations", asks=asks)
    elif any(member.relation not in kind_rules.relations for member in application.family):
        yield BrokenRule(rule="relations", asks=f"only: {', '.join(kind_rules.relations)}")


def _age(birth_date: date, day: date) -> int:
    """Return the age in years: reached at the end of the day before the birthday (Act on Calculation of Ages)."""
    had_birthday = (day.month, day.day) >= (birth_date.month, birth_date.day)
    return day.year - birth_date.year - (0 if had_birthday else 1)


def _in_words(link: Link) -> str:
    ways = " and ".join(
        f"{who}: {' or '.join(residences)}"
        for who, residences in (("one partner", link.one), ("the other", link.other))
        if residences
    )
    place = "works or studies here" if link.works_or_studies else ""
    return " ".join(filter(None, (ways or "one partner", place, "at one address" if link.same_address else "")))


def _term_in_words(term: Term) -> str:
    return f"{term.count} {term.unit}"
