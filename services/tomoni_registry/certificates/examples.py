"""Examples of the bodies, for the interface description. The people do not exist."""

from datetime import date

from tomoni_registry.certificates.application import Application, Partner
from tomoni_registry.certificates.bodies import (
    ConfirmBody,
    CorrectBody,
    DocumentAnswer,
    EraseBody,
    IssueBody,
    ReinstateBody,
    ReissueBody,
    RevokeBody,
)

ISSUE = IssueBody(
    kind="partnership",
    certified_on=date(2026, 10, 1),
    application=Application(
        applied_on=date(2026, 9, 24),
        partners=(
            Partner(
                name="渋谷 はるか",
                birth_date=date(1990, 2, 28),
                address="東京都渋谷区宇田川町1-1",
                residence="resident",
            ),
            Partner(
                name="神南 みのり",
                birth_date=date(1991, 12, 24),
                address="東京都渋谷区神南1-19-8",
                common_name="神南 みの",
                shown_name="both",
                residence="resident",
            ),
        ),
        facts=("same-registered-sex", "sexual-minority"),
        documents=("identity-document", "notarised-guardianship-deed", "notarised-partnership-deed"),
    ),
)
CONFIRM = ConfirmBody(confirmed_on=date(2026, 11, 2), version=1)
REISSUE = ReissueBody(reissued_on=date(2026, 11, 2), reason="紛失", version=1)
REVOKE = RevokeBody(effect="ended", reason="both-moved-out", effective_on=date(2026, 11, 2), version=2)
VOID = RevokeBody(effect="void", reason="clerical-error", note="二重に登録した", version=1)
REINSTATE = ReinstateBody(reinstated_on=date(2026, 11, 4), reason="別の証明と取り違えた", version=3)
CORRECT = CorrectBody(certified_on=date(2026, 10, 2), reason="宣誓日の誤記", version=1)
ERASE = EraseBody(version=3)
ISSUED = DocumentAnswer(
    certificate="0d3f6c1e-7a44-4b0e-9c39-5f7f3f8a2b11",
    version=1,
    kind="partnership",
    standing="valid",
    document="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    certified_on=date(2026, 10, 1),
    handle="7K3M-Q9TX-0VWC-52HB-9F",
)
