from datetime import date

import msgspec
import pytest

from tests.registry.applications import APPLICATION, partner
from tomoni.events.types import OfferedKind, Term
from tomoni_registry.certificates.application import FamilyMember, Partner
from tomoni_registry.schemes.decision import Eligible, Ineligible, decide
from tomoni_registry.schemes.rules import PRESETS, RulesError, parse_rules, preset

DAY = date(2026, 10, 1)
RULES = {name: parse_rules(preset(name)) for name in PRESETS}
RESIDENT, ELSEWHERE = partner("resident"), partner("elsewhere")
SOON, LATE = partner("moving-in", date(2026, 10, 10)), partner("moving-in", date(2027, 1, 2))
WORKS = partner("elsewhere", works_or_studies_here=True)
CHILD = FamilyMember(name="あおい", birth_date=date(2020, 1, 1), relation="child")
PARENT = FamilyMember(name="さつき", birth_date=date(1950, 1, 1), relation="parent")


def answer(town, *, kind="partnership", **changes):
    """The answer to an application that shows every document the kind asks for."""
    shown = RULES[town].kinds[kind].documents if kind in RULES[town].kinds else ()
    application = msgspec.structs.replace(APPLICATION, documents=shown)
    return decide(RULES[town], kind, msgspec.structs.replace(application, **changes), DAY)


def broken(answered):
    assert isinstance(answered, Ineligible)
    return [rule.rule for rule in answered.broken]


def test_the_presets_are_those_of_the_nine_issuers():
    assert sorted(rules.code for rules in RULES.values()) == [
        "092061", "130001", "131083", "131121", "131130", "141003", "232301", "271004", "282022",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("town", "partners", "expected"),
    [
        ("tokyo", (RESIDENT, ELSEWHERE), "settled"),
        ("tokyo", (ELSEWHERE, WORKS), "settled"),
        ("tokyo", (SOON, ELSEWHERE), "mover"),
        ("tokyo", (LATE, ELSEWHERE), "mover_term"),
        ("tokyo", (ELSEWHERE, ELSEWHERE), "link"),
        ("shibuya", (RESIDENT, RESIDENT), "settled"),
        ("shibuya", (RESIDENT, SOON), "link"),
        ("setagaya", (SOON, SOON), "mover"),
        ("setagaya", (RESIDENT, ELSEWHERE), "link"),
        ("koto", (SOON, RESIDENT), "mover"),
        ("koto", (SOON, SOON), "link"),
        ("yokohama", (RESIDENT, SOON), "mover"),
        ("yokohama", (RESIDENT, ELSEWHERE), "link"),
        ("nikko", (RESIDENT, RESIDENT), "link"),
        ("nisshin", (RESIDENT, ELSEWHERE), "settled"),
        ("nisshin", (ELSEWHERE, SOON), "mover"),
        ("osaka", (ELSEWHERE, SOON), "mover"),
        ("amagasaki", (RESIDENT, ELSEWHERE), "settled"),
        ("amagasaki", (ELSEWHERE, WORKS), "link"),
    ],
)
def test_each_town_has_its_own_link_to_the_place(town, partners, expected):
    answered = answer(town, partners=partners)
    if isinstance(answered, Eligible):
        assert ("mover" if answered.mover else "settled") == expected
    else:
        assert broken(answered) == [expected]


def test_nikko_asks_for_one_address_and_a_move_within_14_days():
    assert answer("nikko", same_address=True) == Eligible(mover=False)
    assert answer("nikko", partners=(RESIDENT, SOON), same_address=True) == Eligible(mover=True)
    later = partner("moving-in", date(2026, 10, 16))
    assert broken(answer("nikko", partners=(RESIDENT, later), same_address=True)) == ["mover_term"]


@pytest.mark.parametrize(
    ("town", "kind", "facts", "eligible"),
    [
        ("shibuya", "partnership", ("same-registered-sex",), True),
        ("shibuya", "partnership", ("sexual-minority",), False),
        ("tokyo", "partnership", ("sexual-minority",), True),
        ("tokyo", "partnership", ("de-facto",), False),
        ("yokohama", "de-facto-partnership", ("de-facto",), True),
        ("yokohama", "partnership", ("de-facto",), False),
        ("nisshin", "partnership", (), True),
    ],
)
def test_each_town_accepts_its_own_couples(town, kind, facts, eligible):
    answered = answer(town, kind=kind, facts=facts)
    assert answered == Eligible(mover=False) if eligible else broken(answered) == ["accepts"]


@pytest.mark.parametrize(
    ("town", "fact", "accepted"),
    [
        ("koto", "married-to-each-other-abroad", True),
        ("shibuya", "married-to-each-other-abroad", False),
        ("koto", "other-partner", False),
        ("koto", "close-kin", False),
        ("koto", "married", False),
    ],
)
def test_who_is_bound_otherwise_is_refused_and_koto_takes_those_who_married_abroad(town, fact, accepted):
    answered = answer(town, facts=("same-registered-sex", fact))
    assert answered == Eligible(mover=False) if accepted else broken(answered) == ["refuses"]


def test_shibuya_asks_for_two_notarised_deeds():
    one_deed = ("identity-document", "notarised-partnership-deed")
    answered = answer("shibuya", documents=one_deed)
    assert broken(answered) == ["documents"]
    assert "notarised-guardianship-deed" in answered.broken[0].asks


def test_an_age_is_reached_on_the_birthday():
    young = partner("resident", birth_date=date(2008, 10, 2))
    just = partner("resident", birth_date=date(2008, 10, 1))
    assert broken(answer("shibuya", partners=(RESIDENT, young))) == ["minimum_age"]
    assert answer("shibuya", partners=(RESIDENT, just)) == Eligible(mover=False)


@pytest.mark.parametrize(
    ("town", "kind", "family", "expected"),
    [
        ("setagaya", "familyship", (CHILD, PARENT), []),
        ("osaka", "familyship", (PARENT,), []),
        ("setagaya", "familyship", (), ["relations"]),
        ("setagaya", "partnership", (CHILD,), ["relations"]),
        ("shibuya", "familyship", (CHILD,), ["kinds"]),
    ],
)
def test_a_familyship_names_children_or_parents(town, kind, family, expected):
    answered = answer(town, kind=kind, family=family)
    assert answered == Eligible(mover=False) if not expected else broken(answered) == expected


def test_only_relations_that_a_town_knows_are_named():
    kinds = {"familyship": msgspec.structs.replace(RULES["osaka"].kinds["familyship"], relations=("child",))}
    rules = msgspec.structs.replace(RULES["osaka"], kinds=kinds)
    application = msgspec.structs.replace(APPLICATION, documents=kinds["familyship"].documents, family=(CHILD, PARENT))
    assert broken(decide(rules, "familyship", application, DAY)) == ["relations"]


def test_only_tokyo_takes_applications_online():
    assert answer("tokyo", submitted="online") == Eligible(mover=False)
    assert broken(answer("shibuya", submitted="online")) == ["online"]


def test_a_town_without_a_term_takes_no_movers():
    rules = msgspec.structs.replace(RULES["nisshin"], mover_term=None)
    application = msgspec.structs.replace(
        APPLICATION, partners=(SOON, ELSEWHERE), documents=rules.kinds["partnership"].documents
    )
    assert broken(decide(rules, "partnership", application, DAY)) == ["mover_term"]
    assert rules.offered_kinds() == (OfferedKind(kind="partnership"),)


def test_nobody_is_certified_before_applying():
    assert broken(answer("shibuya", applied_on=date(2026, 10, 2))) == ["applied_on"]


def test_every_broken_rule_is_named_and_no_person():
    answered = answer("shibuya", partners=(RESIDENT, LATE), facts=("close-kin",), documents=(), submitted="online")
    assert broken(answered) == ["link", "accepts", "refuses", "documents", "online"]
    text = repr(answered)
    assert not any(secret in text for one in APPLICATION.partners for secret in (one.name, one.address))


def test_a_scheme_is_offered_as_the_rules_say():
    fourteen_days = Term(unit="days", count=14)
    assert RULES["nikko"].offered_kinds() == (OfferedKind(kind="partnership", conditional_term=fourteen_days),)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"code = ", "Invalid value"),
        (b"\xff", "wrong"),
        (preset("shibuya").replace(b"refuses", b"refusess"), "unknown field `refusess`"),
        (preset("tokyo").replace(b"online = true", b"onlime = true"), "unknown field `onlime`"),
        (preset("tokyo").replace(b"works_or_studies = true", b""), "a link says"),
        (preset("nikko").replace(b'"days"', b'"weeks"'), "mover_term"),
    ],
)
def test_wrong_rules_are_refused_with_the_place(text, where):
    with pytest.raises(RulesError, match=where):
        parse_rules(text)


def test_there_are_no_other_presets():
    with pytest.raises(RulesError, match="shibuya"):
        preset("../shibuya")


def test_personal_data_does_not_show_in_a_repr():
    assert repr(APPLICATION) == "Application(…)"
    assert repr(RESIDENT) == "Partner(…)"


@pytest.mark.parametrize(
    "changes",
    [{"shown_name": "both"}, {"residence": "moving-in"}, {"moves_in_on": "2026-10-10"}],
)
def test_a_partner_that_contradicts_itself_is_refused(changes):
    given = msgspec.to_builtins(RESIDENT) | changes
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Partner)
