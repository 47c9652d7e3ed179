"""When an entry is no legal event of a jurisdiction's log, told from few other entries: what evidence can show.

Written apart from the read model's handlers and from the auditor's rules, and narrower than both: only what can be
shown without believing anybody.
"""

import re
from typing import Any, Final, get_args

from tomoni.events import Event, EventError, JurisdictionEvent, UnknownEvent, decode_event
from tomoni.events.jurisdiction import CertificateIssued, KeyRotated
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier

_OF_A_JURISDICTION: Final[tuple[type[Any], ...]] = get_args(JurisdictionEvent)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SLUG: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_IDENTITIES: Final[dict[str, re.Pattern[str] | None]] = {
    "certificate": _UUID,
    "arrangement": _UUID,
    "network": _SLUG,
    "scheme": None,
    "key": None,
}
"""The nouns of a jurisdiction's log and how what they name is called; None: there is just one."""


def wrong_by_itself(data: bytes, origin: str) -> str | None:
    """Return why an entry can stand in no log of an origin, None where it can."""
    try:
        event = decode_event(data)
    except EventError as error:
        return str(error)
    if event.source != origin:
        return "the event names another log as its source"
    return None if isinstance(event, UnknownEvent) else _wrong_in_a_jurisdiction(event, origin)


def _wrong_in_a_jurisdiction(event: Event, origin: str) -> str | None:
    if not isinstance(event, _OF_A_JURISDICTION):
        return "the event is not one of a jurisdiction's log"
    noun, slash, identity = event.subject.partition("/")
    wanted = _IDENTITIES.get(noun)
    named = noun in _IDENTITIES and (not slash if wanted is None else wanted.fullmatch(identity) is not None)
    if not named or noun != noun_of(event):
        return "the event's subject is not what its type is about"
    if isinstance(event, KeyRotated) and not _is_key_of(event.data.log_key, origin):
        return "the next key is no key of this log"
    return None


def wrong_after(event: Event, earlier: Event) -> str | None:
    """Return why an event cannot stand anywhere behind an earlier one of its log, None where it can."""
    if event.subject != earlier.subject:
        return None
    if isinstance(event, CertificateIssued) and isinstance(earlier, CertificateIssued):
        return "the certificate was issued before"
    if isinstance(event, KeyRotated) and isinstance(earlier, KeyRotated) and event.data.log_key == earlier.data.log_key:
        return "the key was the next key before"
    if event.data.version <= earlier.data.version:
        return f"version {event.data.version} of its subject comes after version {earlier.data.version}"
    return None


def wrong_next(event: Event, earlier: Event | None) -> str | None:
    """Return why an event cannot be the next about its subject after an earlier one, or the first; None where it can.

    Whoever asks must know that nothing about the subject stands in between.
    """
    version = event.data.version
    if earlier is None and noun_of(event) == "certificate" and not isinstance(event, CertificateIssued):
        return "the certificate was not issued before"
    before = 0 if earlier is None else earlier.data.version
    if version != before + 1:
        return f"version {version} of its subject comes where version {before + 1} should"
    return None


def leaves_open(data: bytes, event: Event, *, issued: bool) -> str | None:
    """Return why an entry before an event may be what the event goes on from, None where it certainly is not.

    Not `issued` means that nothing about the event's subject is known before it.
    """
    try:
        other = decode_event(data)
    except EventError:
        return "it is no event, so that this entry and not a later one is the first that is wrong"
    if isinstance(other, UnknownEvent) and other.subject != event.subject:
        return unknown_leaves_open(other.subject or "", event, issued=issued)
    return "it is about the same subject" if other.subject == event.subject else None


def unknown_leaves_open(subject: str, event: Event, *, issued: bool) -> str | None:
    """Return why an event of an unknown type about another subject, or about none, leaves that open; None else."""
    noun = subject.partition("/")[0]
    if noun in {"", "key"}:
        return "its type is not known here, and it is about the whole log"
    if not issued and noun == "certificate" == noun_of(event):
        return "its type is not known here, and it may have issued the certificate"
    return None


def known_event(data: bytes) -> Event | None:
    """Return the event of an entry, None where it is none or of a type that is not known here."""
    try:
        event = decode_event(data)
    except EventError:
        return None
    return None if isinstance(event, UnknownEvent) else event


def noun_of(event: Event) -> str:
    """Return what an event of its type is about, the noun in `jp.tomoni.<noun>.<past tense>.v<N>`."""
    return str(type(event).__struct_config__.tag).split(".")[2]


def _is_key_of(text: str, origin: str) -> bool:
    try:
        return Verifier.parse(text).name == origin
    except NoteError:
        return False
