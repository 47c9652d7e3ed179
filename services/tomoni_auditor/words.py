"""What an entry says, in Japanese and English, for people who read histories."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from msgspec import UNSET, UnsetType

from tomoni.events import Event, UnknownEvent
from tomoni.events import federation as f
from tomoni.events import jurisdiction as j
from tomoni.events.types import IssuerSet
from tomoni.events.vocabulary import KINDS, PATTERNS, SERVICES, Words


def describe(event: Event | UnknownEvent) -> Words:
    """Return what an event says; nothing that is secret stands in one."""
    if isinstance(event, UnknownEvent):
        return Words(
            "この版では読めない種類の記録です。対象は「不明」となります。",
            "An event of a type this version cannot read: what it is about is unknown from here on.",
        )
    found = _certificates(event) or _declarations(event) or _keys(event) or _federation(event)
    return found or Words("記録", "An entry")


def _certificates(event: object) -> Words | None:  # noqa: PLR0911  # one case an event type
    match event:
        case j.CertificateIssued(data=data):
            kind = KINDS[data.kind]
            until = _until(data.conditional_until, "（{}まで条件付き）", ", conditional until {}")
            return Words(
                f"{kind.ja}の証明書を交付（宣誓日 {data.certified_on}）{until.ja}",
                f"Certificate issued ({kind.en}), certified on {data.certified_on}{until.en}",
            )
        case j.CertificateConfirmed(data=data):
            return Words(f"転入を確認（{data.confirmed_on}）", f"Move confirmed on {data.confirmed_on}")
        case j.CertificateReissued(data=data):
            return Words(
                f"証明書を再交付（{data.reissued_on}）。以前の書面は無効",
                f"Document replaced on {data.reissued_on}; the one before counts no more",
            )
        case j.CertificateRevoked(data=data) if data.effect == "void":
            return Words("証明書は初めから無効", "Certificate void from the start")
        case j.CertificateRevoked(data=data):
            return Words(
                f"証明書は{data.effective_on}に終了", f"Certificate ended with effect from {data.effective_on}"
            )
        case j.CertificateReinstated(data=data):
            return Words(
                f"終了は誤りとして取り消し（{data.reinstated_on}）",
                f"Reinstated on {data.reinstated_on}: the end was recorded in error",
            )
        case j.CertificateCorrected(data=data):
            return Words(f"日付を訂正（{_dates(data, 0)}）", f"Dates corrected: {_dates(data, 1)}")
        case j.CertificateErased():
            return Words("個人情報を消去", "Personal data destroyed; the status stays")
        case _:
            return None


def _declarations(event: object) -> Words | None:  # noqa: PLR0911  # one case an event type
    match event:
        case j.ArrangementDeclared(data=data):
            pattern = PATTERNS[data.pattern]
            until = _until(data.effective_until, "から{}まで", " until {}")
            return Words(
                f"取り決めを宣言：{pattern.ja}、対象 {_issuers(data.issuers)}、{_services(data.services, 0)}、"
                f"{data.effective_from}{until.ja or 'から'}",
                f"Arrangement declared: {pattern.en}, for certificates of {_issuers(data.issuers)}, for "
                f"{_services(data.services, 1)}, from {data.effective_from}{until.en}",
            )
        case j.ArrangementWithdrawn(data=data):
            return Words(f"取り決めを{data.effective_on}に終了", f"Arrangement withdrawn from {data.effective_on}")
        case j.NetworkJoined(data=data):
            return Words(f"ネットワークに{data.effective_on}から参加", f"Network joined from {data.effective_on}")
        case j.NetworkLeft(data=data):
            return Words(f"ネットワークから{data.effective_on}に脱退", f"Network left from {data.effective_on}")
        case j.SchemeOpened(data=data):
            return Words(
                f"制度「{data.name}」を{data.opens_on}に開始", f"Scheme “{data.name}” opened on {data.opens_on}"
            )
        case j.SchemeAmended(data=data):
            return Words(f"制度を{data.effective_on}に改定", f"Scheme amended from {data.effective_on}")
        case j.SchemeClosed(data=data):
            return Words(f"制度を{data.closes_on}に終了", f"Scheme closed on {data.closes_on}")
        case _:
            return None


def _keys(event: object) -> Words | None:
    match event:
        case j.KeyRotated():
            return Words("記録の署名鍵を交換", "The log's signing key is replaced")
        case f.JurisdictionTransportKeyAccepted():
            return Words("次の通信鍵を承認", "The next key for the hub accepted beside the one in force")
        case f.JurisdictionTransportKeyRetired():
            return Words("以前の通信鍵を失効", "The former key for the hub retired")
        case f.ReceiptKeyRotated():
            return Words("受領証の署名鍵を交換", "The federation's key for receipts is replaced")
        case _:
            return None


def _federation(event: object) -> Words | None:  # noqa: PLR0911  # one case an event type
    match event:
        case f.JurisdictionAdmitted(data=data):
            return Words(f"{data.code}の参加を承認", f"Jurisdiction {data.code} admitted")
        case f.JurisdictionSuspended(data=data):
            return Words(
                f"{data.from_size}件目以降の受け入れを停止", f"Suspended: nothing after size {data.from_size} counts"
            )
        case f.JurisdictionQuarantined():
            return Words("記録の矛盾により隔離", "Quarantined: its log contradicts itself")
        case f.JurisdictionReadmitted(data=data):
            return Words(f"{data.from_size}件目から再開", f"Readmitted, going on from size {data.from_size}")
        case f.JurisdictionSucceeded(data=data):
            return Words(
                f"{data.effective_on}に{data.successor}が承継",
                f"Succeeded by {data.successor} from {data.effective_on}",
            )
        case f.NetworkChartered(data=data):
            return Words(
                f"ネットワーク「{data.name}」の規約（{data.effective_on}から）",
                f"Network “{data.name}” chartered from {data.effective_on}",
            )
        case f.NetworkAmended(data=data):
            return Words(f"ネットワークの規約を{data.effective_on}に改定", f"Charter amended from {data.effective_on}")
        case f.NetworkMemberAccepted(data=data):
            until = _until(data.effective_until, "（{}まで）", " until {}")
            return Words(
                f"{data.member}を{data.effective_on}から加盟団体として承認{until.ja}",
                f"{data.member} accepted as a member from {data.effective_on}{until.en}",
            )
        case _:
            return None


_DATES: Final[Mapping[str, Words]] = {
    "certified_on": Words("宣誓日", "certified on"),
    "conditional_until": Words("条件付きの期限", "conditional until"),
    "effective_on": Words("終了日", "ended on"),
}


def _dates(data: Any, language: int) -> str:  # noqa: ANN401  # any of the data with dates
    named = ((words[language], getattr(data, name, UNSET)) for name, words in _DATES.items())
    return ", ".join(f"{name} {value}" for name, value in named if value is not UNSET)


def _until(day: date | UnsetType, ja: str, en: str) -> Words:
    return Words("", "") if isinstance(day, UnsetType) else Words(ja.format(day), en.format(day))


def _issuers(issuers: IssuerSet) -> str:
    if issuers.codes is not UNSET:
        return ", ".join(issuers.codes)
    return str(issuers.network if issuers.prefecture is UNSET else issuers.prefecture)


def _services(services: Iterable[str], language: int) -> str:
    return ", ".join(SERVICES[one][language] if one in SERVICES else one for one in services)
