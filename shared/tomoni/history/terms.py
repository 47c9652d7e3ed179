"""What recognition means under each of the five patterns, in Japanese and English, as it is told to people."""

from collections.abc import Mapping
from typing import Final

from tomoni.events.vocabulary import Words

TERMS: Final[Mapping[str, Words]] = {
    "A": Words(
        "転入後も、これまでの証明書をそのまま使えます。",
        "The certificate goes on counting after the move; no new one is needed.",
    ),
    "B": Words(
        "転入先が、新たな宣誓なしに証明書を交付し、同意があれば転出元に通知します。",
        "The receiver issues its own certificate without a new oath, and tells the issuer if the holders consent.",
    ),
    "C": Words(
        "転出元での手続きから始め、転出元が転入先に情報を引き継ぎます。",
        "Begin at the issuer: it hands over to the receiver, which then issues its own certificate.",
    ),
    "D": Words(
        "新たに宣誓し、この証明書は提出書類の一部に代わります。",
        "A new oath is sworn, and the certificate takes the place of a document that is otherwise asked for.",
    ),
    "E": Words(
        "このサービスについて、受け入れ側の証明書と同じに扱われます。",
        "The certificate counts for this service as the receiver's own would.",
    ),
}
"""Every pattern that an event can name is here."""

OWN_TERMS: Final = Words("受け入れ側が自ら交付した証明書です。", "The receiver's own certificate.")
