"""The words of events that people meet as well: kinds, patterns, services and conditions, in Japanese and English.

What a code means is settled here for whoever declares, asks or shows it. A code that begins with `x-` is local: its
meaning is agreed between those who use it, and it has no words here.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Words(NamedTuple):
    """What a code is called."""

    ja: str
    en: str


KINDS: Final[Mapping[str, Words]] = {
    "partnership": Words("パートナーシップ", "Partnership"),
    "familyship": Words("ファミリーシップ", "Familyship, with children or parents"),
    "de-facto-partnership": Words("事実婚", "De-facto partnership, of partners of whatever sex"),
}
"""What is certified."""

PATTERNS: Final[Mapping[str, Words]] = {
    "A": Words("相互利用", "Mutual use"),
    "B": Words("継続", "Continuation"),
    "C": Words("情報引継ぎ", "Hand-over"),
    "D": Words("書類の省略", "Fewer documents"),
    "E": Words("サービスの利用", "Service recognition"),
}
"""The five ways of being recognised elsewhere; "mutual" is two declarations, one by each."""

SERVICES: Final[Mapping[str, Words]] = {
    "public-housing": Words("公営住宅の入居", "Public housing"),
    "hospital-visit": Words("病院での面会", "Visits in hospital"),
    "hospital-explanation": Words("病状の説明", "Being told by the hospital"),
    "nursery": Words("保育所の利用", "Nursery"),
    "welfare": Words("福祉サービス", "Welfare"),
    "ambulance-record": Words("救急搬送の情報", "Ambulance records"),
    "condolence-money": Words("災害弔慰金・見舞金", "Condolence money"),
    "private-rental": Words("民間賃貸住宅", "Private rental"),
    "private-insurance": Words("民間の保険", "Private insurance"),
    "phone-plan": Words("携帯電話の家族割引", "Family phone plans"),
    "new-certificate": Words("転入先での証明書の交付", "A certificate of the receiver's own"),
}
"""What is asked for with a certificate. Of `new-certificate` the pattern says by which way it is had."""

CONDITIONS: Final[Mapping[str, Words]] = {
    "identity-document": Words("本人確認書類", "An identity document"),
    "residence-record": Words("住民票の写し", "A copy of the residence record"),
    "family-register": Words("戸籍抄本など", "An extract of the family register"),
    "original-surrendered": Words("証明書原本の返還", "The original certificate handed in"),
    "consent-to-notify": Words("転出元への通知の同意", "Consent to tell the issuer"),
    "both-present": Words("お二人での来庁", "Both partners present"),
    "appointment": Words("事前の予約", "An appointment"),
}
"""What else has to be shown or done."""
