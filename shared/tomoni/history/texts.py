"""Why an answer is as it is, and why one arrangement prevailed over another: the reasons and their words."""

from collections.abc import Mapping
from typing import Final, Literal

from tomoni.history import status

Miss = Literal[
    "date-not-covered",
    "issuer-not-member",
    "receiver-not-member",
    "no-charter",
    "pattern-not-in-charter",
    "service-not-in-charter",
    "kind-not-in-charter",
    "service-not-covered",
    "kind-not-covered",
]
"""What keeps an arrangement that names the issuer from applying."""

Reason = (
    Literal[
        "own-certificate",
        "arrangement-applies",
        "kept-recognised",
        "certificate-conditional",
        "day-to-come",
        "status-not-valid",
        "status-replaced",
        "status-not-found",
        "status-unknown",
        "no-arrangement",
        "receiver-unknown",
        "arrangement-unknown",
    ]
    | Miss
)
"""Why an answer is as it is."""

Ranking = Literal[
    "only-one", "higher-precedence", "newer", "first-by-identity", "lower-precedence", "older", "later-by-identity"
]
"""Why one arrangement prevailed (over the one next to it), or was outranked (by the one that did)."""

TEXTS: Final[Mapping[Reason, str]] = {
    "own-certificate": "The receiver issued this certificate itself.",
    "arrangement-applies": "The receiver has declared an arrangement that covers this issuer, kind, service and day.",
    "kept-recognised": "The arrangement, or the membership it rests on, has ended: what it recognised before stays so.",
    "certificate-conditional": "The certificate is conditional: its holders have yet to prove their move.",
    "day-to-come": "This day is yet to come, and this is what is known now. Ask again on the day.",
    "status-not-valid": "The certificate is not valid on this day.",
    "status-replaced": "Another document was issued in the place of this one: ask for the current one.",
    "status-not-found": "The issuer has no such document.",
    "status-unknown": "The status of the document on this day is not known: the certificate's part says why.",
    "no-arrangement": "The receiver has declared nothing about this issuer.",
    "kind-not-covered": "The receiver's arrangement does not cover this kind of certificate.",
    "service-not-covered": "The receiver's arrangement does not cover this service.",
    "date-not-covered": "The receiver's arrangement does not cover this day.",
    "issuer-not-member": "On this day the issuer is not in the network that the arrangement names: both its own word "
    "and the federation's are needed.",
    "receiver-not-member": "On this day the receiver is not in the network that its arrangement names: both its own "
    "word and the federation's are needed.",
    "no-charter": "On this day the network that the arrangement names has no charter.",
    "pattern-not-in-charter": "The charter of the network that the arrangement names is of another pattern.",
    "service-not-in-charter": "The charter of the network that the arrangement names does not cover this service.",
    "kind-not-in-charter": "The charter of the network that the arrangement names does not cover this kind of "
    "certificate.",
    "receiver-unknown": "What the receiver has declared is not known freshly enough. Ask the receiver.",
    "arrangement-unknown": "Something was declared about this that this version cannot read. Ask the receiver.",
}

RANKING_TEXTS: Final[Mapping[Ranking, str]] = {
    "only-one": "No other arrangement of the receiver applies.",
    "higher-precedence": "The receiver gave it a higher precedence than any other that applies.",
    "newer": "Of those with this precedence that apply, it began last.",
    "first-by-identity": "Another is equal in precedence and first day: the identity decides, for every reader alike.",
    "lower-precedence": "It applies, and the receiver gave the prevailing one a higher precedence.",
    "older": "It applies with the same precedence, and the prevailing one began later.",
    "later-by-identity": "It is equal to the prevailing one in precedence and first day: the identity decides.",
}

STATUS_TEXTS: Final[Mapping[status.Reason, str]] = {
    "issuer-not-admitted": "This issuer does not take part in the federation. Ask the issuer itself.",
    "issuer-quarantined": "The issuer's records contradict each other and are being looked into. Ask the issuer.",
    "issuer-halted": "The issuer's records cannot be read fully right now. Ask the issuer.",
    "issuer-unknown-event": "The issuer's records need a newer version of this service. Ask the issuer.",
    "certificate-unknown-event": "This record needs a newer version of this service. Ask the issuer.",
    "taken-back": "What the issuer said last counts no more, and it has not been heard of since. Ask the issuer.",
    "never-proven": "Nothing is known of this issuer's records yet. Ask the issuer.",
    "being-read": "Something new of this issuer is just being read. Ask again in a moment.",
    "stale": "The issuer has not been heard of recently enough for this purpose. Ask the issuer.",
    "conditional-lapse-unproven": "A term ran out, and the issuer has not been heard of since. Ask the issuer.",
    "conditional-lapse-ahead": "A term runs out before this day unless the move is proven by then. Ask nearer the day.",
}
"""Why a status is unknown."""
