"""The truth table of recognition: every row is a case that is set up and asked over HTTP, and a line of the docs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from tests.federation.towns import Town, unknown_event
from tomoni.events import jurisdiction as j
from tomoni.events.types import IssuerSet

ISSUER = "131130"


@dataclass(frozen=True)
class Row:
    """A case: what the receiver says (None: it was never heard of), which document, and the answer."""

    case: str
    says: Callable[[Town], object] | None
    outcome: str
    reasons: tuple[str, ...]
    pattern: str = "–"
    considered: tuple[str, ...] = ()
    document: str = "valid"
    asked: dict[str, str] = field(default_factory=dict)


def nothing(_):
    pass


def declares(**fields):
    return lambda town: town.declare(ISSUER, **fields)


def twice(first, second):
    return lambda town: (town.declare(ISSUER, **first), town.declare(ISSUER, **second))


def ends(**fields):
    return lambda town: town.withdraw(town.declare(ISSUER, **fields))


def in_network(name, *, joins=True, **fields):
    def says(town):
        town.declare(issuers=IssuerSet(network=name), **fields)
        if joins:
            join(town, name)

    return says


def unreadable(town):
    town.append(unknown_event(town, f"arrangement/{town.declare(ISSUER)}"))


def join(town, name, event=j.NetworkJoined, on=date(2026, 4, 1)):
    town.append(town.event(event, j.NetworkMembershipData, f"network/{name}", effective_on=on))


ONLY = ("only-one",)
NEW = ("new-certificate",)
APPLIES = ("arrangement-applies",)

NETWORKS = {
    "whole": {},
    "left": {},
    "unaccepted": {},
    "later": {"effective_on": "2027-04-01"},
    "of-pattern-b": {"pattern": "B"},
    "for-nursery": {"services": ["nursery"]},
    "of-families": {"kinds": ["familyship"]},
}
"""How each network's charter differs from: pattern E, partnerships, public housing, since April 2026. The issuer is in
all of them, but for `left`, which it left in October, and `unaccepted`, where the federation has not accepted it."""

TABLE = [
    Row("The issuer itself is asked", None, "recognised", ("own-certificate",), asked={"receiver": ISSUER}),
    Row("Mutual use", declares(pattern="A"), "recognised", APPLIES, "A", ONLY),
    Row(
        "Continuation", declares(pattern="B", services=NEW), "recognised", APPLIES, "B", ONLY, asked={"service": NEW[0]}
    ),
    Row("Hand-over", declares(pattern="C", services=NEW), "recognised", APPLIES, "C", ONLY, asked={"service": NEW[0]}),
    Row(
        "Fewer documents",
        declares(pattern="D", services=NEW),
        "recognised",
        APPLIES,
        "D",
        ONLY,
        asked={"service": NEW[0]},
    ),
    Row("Service recognition", declares(pattern="E"), "recognised", APPLIES, "E", ONLY),
    Row("A network that both are in", in_network("whole"), "recognised", APPLIES, "E", ONLY),
    Row(
        "A mover's certificate, the move not proven yet",
        declares(),
        "recognised",
        ("arrangement-applies", "certificate-conditional"),
        "E",
        ONLY,
        "conditional",
    ),
    Row(
        "A day to come",
        declares(),
        "recognised",
        ("arrangement-applies", "day-to-come"),
        "E",
        ONLY,
        asked={"on": "2026-12-24"},
    ),
    Row(
        "Withdrawn, and what was recognised is kept",
        ends(keeps_recognised=True),
        "recognised",
        ("kept-recognised",),
        "E",
        ONLY,
    ),
    Row(
        "The issuer left the network, and what was recognised is kept",
        in_network("left", keeps_recognised=True),
        "recognised",
        ("kept-recognised",),
        "E",
        ONLY,
    ),
    Row(
        "Two apply, one with a higher precedence",
        twice({}, {"precedence": 1, "pattern": "A"}),
        "recognised",
        APPLIES,
        "A",
        ("higher-precedence", "lower-precedence"),
    ),
    Row(
        "Two apply, one began later",
        twice({"pattern": "A", "effective_from": date(2026, 9, 1)}, {}),
        "recognised",
        APPLIES,
        "A",
        ("newer", "older"),
    ),
    Row("Two apply alike", twice({}, {}), "recognised", APPLIES, "E", ("first-by-identity", "later-by-identity")),
    Row("The certificate has ended", declares(), "not-recognised", ("status-not-valid",), document="ended"),
    Row("The document was replaced", declares(), "not-recognised", ("status-replaced",), document="replaced"),
    Row("There is no such document", declares(), "not-recognised", ("status-not-found",), document="missing"),
    Row("Nothing was declared", nothing, "not-recognised", ("no-arrangement",)),
    Row(
        "A familyship into a partnership-only town",
        declares(),
        "not-recognised",
        ("kind-not-covered",),
        considered=("kind-not-covered",),
        document="familyship",
    ),
    Row(
        "Another service",
        declares(services=("nursery",)),
        "not-recognised",
        ("service-not-covered",),
        considered=("service-not-covered",),
    ),
    Row("Withdrawn", ends(), "not-recognised", ("date-not-covered",), considered=("date-not-covered",)),
    Row(
        "The issuer left the network",
        in_network("left"),
        "not-recognised",
        ("issuer-not-member",),
        considered=("issuer-not-member",),
    ),
    Row(
        "The issuer joined by its own word alone",
        in_network("unaccepted"),
        "not-recognised",
        ("issuer-not-member",),
        considered=("issuer-not-member",),
    ),
    Row(
        "The receiver names a network it is not in",
        in_network("whole", joins=False),
        "not-recognised",
        ("receiver-not-member",),
        considered=("receiver-not-member",),
    ),
    Row(
        "The network's charter begins later",
        in_network("later"),
        "not-recognised",
        ("no-charter",),
        considered=("no-charter",),
    ),
    Row(
        "The charter is of another pattern",
        in_network("of-pattern-b"),
        "not-recognised",
        ("pattern-not-in-charter",),
        considered=("pattern-not-in-charter",),
    ),
    Row(
        "The charter lacks the service",
        in_network("for-nursery"),
        "not-recognised",
        ("service-not-in-charter",),
        considered=("service-not-in-charter",),
    ),
    Row(
        "The charter lacks the kind",
        in_network("of-families"),
        "not-recognised",
        ("kind-not-in-charter",),
        considered=("kind-not-in-charter",),
    ),
    Row(
        "The issuer takes no part",
        declares(),
        "unknown",
        ("status-unknown",),
        asked={"issuer": "271004"},
    ),
    Row("The receiver was not heard of", None, "unknown", ("receiver-unknown",)),
    Row(
        "Something unreadable was said about the arrangement",
        unreadable,
        "unknown",
        ("arrangement-unknown",),
        considered=("arrangement-unknown",),
    ),
]

HEAD = """# What is recognised, and why

The truth table of `POST /v1/recognition`, for whoever reads an answer or changes the decision. Every line is a case
that a test sets up and asks over HTTP (`tests/federation/test_truth_table.py`); where nothing else is said, a valid
partnership certificate of one town is shown in another for public housing. The last column is what became of each
arrangement that names the issuer, the prevailing one first (decision 0061); arrangements that name a network
recognise what they and its charter both say (0060).

| case | answer | reasons | pattern | arrangements considered |
|---|---|---|---|---|
"""


def page():
    """Return docs/recognition.md."""
    cells = [
        (row.case, row.outcome, ", ".join(row.reasons), row.pattern, ", ".join(row.considered) or "–") for row in TABLE
    ]
    return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in cells)
