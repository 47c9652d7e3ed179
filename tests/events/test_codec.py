"""Entries: read back as written, refused in any other form, unknown types kept, old versions lifted."""

import datetime
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.strategies import events
from tomoni.events import (
    EVENT_TYPES,
    MAX_ENTRY_BYTES,
    Event,
    EventError,
    UnknownEvent,
    decode_event,
    encode_event,
    types,
)
from tomoni.events.canonical import encode
from tomoni.events.jurisdiction import (
    CertificateErased,
    CertificateIssued,
    CertificateIssuedData,
    CertificateRevoked,
    CertificateRevokedData,
)
from tomoni.events.types import Data, stream_of

ENVELOPE: dict[str, Any] = {
    "id": str(uuid.UUID(int=7)),
    "source": "tomoni.example/131130",
    "subject": stream_of("certificate", str(uuid.UUID(int=8))),
    "time": "2026-11-23T03:38:36.000000Z",
}
ISSUED = CertificateIssued(
    **ENVELOPE,
    data=CertificateIssuedData(
        version=1, kind="partnership", document="ab" * 32, certified_on=datetime.date(2026, 11, 23)
    ),
)


@given(events())
def test_an_event_is_read_back_as_it_was_written(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@given(events(), st.data())
def test_one_changed_byte_never_reads_as_the_same_event(event: Event, data: st.DataObject) -> None:
    entry = bytearray(encode_event(event))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_event(bytes(entry))
    except EventError:
        return
    assert other != event


def test_the_bytes_of_an_event_are_fixed_for_ever() -> None:
    assert encode_event(ISSUED) == (
        b'{"data":{"certified_on":"2026-11-23","document":"' + b"ab" * 32 + b'","kind":"partnership","version":1},'
        b'"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000007",'
        b'"source":"tomoni.example/131130","specversion":"1.0",'
        b'"subject":"certificate/00000000-0000-0000-0000-000000000008",'
        b'"time":"2026-11-23T03:38:36.000000Z","type":"jp.tomoni.certificate.issued.v1"}'
    )


def test_every_type_is_named_as_the_design_says() -> None:
    for name in EVENT_TYPES:
        prefix, project, _, past, version = name.split(".")
        assert (prefix, project) == ("jp", "tomoni")
        assert past.replace("-", "").isalpha()
        assert version == "v1"


GOOD = encode_event(ISSUED)


@pytest.mark.parametrize(
    "entry",
    [
        GOOD.replace(b'"version":1', b'"version":1,"version":1'),
        GOOD.replace(b'{"data"', b'{ "data"'),
        GOOD.replace(b"partnership", b"partner\\u0073hip"),
        GOOD.replace(b'"version":1', b'"version":1.0'),
        GOOD.replace(b'"version":1', b'"version":0'),
        GOOD.replace(b'"version":1', b'"reason":"x","version":1'),
        GOOD.replace(b'"partnership"', b'"friendship"'),
        GOOD.replace(b"2026-11-23T", b"2026-02-30T"),
        GOOD.replace(b".000000Z", b"Z"),
        GOOD.replace(b"2026-11-23T03", b"2026-11-23T25"),
        GOOD.replace(b'"1.0"', b'"1.1"'),
        GOOD.replace(b"ab", b"AB"),
        GOOD + b"\n",
        GOOD[:-1],
        b"",
        b"[]",
        b'{"type":7}',
        b"\xff",
        b" " * (MAX_ENTRY_BYTES + 1),
    ],
)
def test_an_entry_that_is_no_legal_event_is_refused(entry: bytes) -> None:
    with pytest.raises(EventError):
        decode_event(entry)


def test_an_entry_beyond_the_limit_is_not_written() -> None:
    huge = msgspec.structs.replace(ISSUED, source="x" * MAX_ENTRY_BYTES)
    with pytest.raises(EventError, match="60000"):
        encode_event(huge)


def _unknown(**changes: object) -> bytes:
    fields: dict[str, object] = {
        **ENVELOPE,
        "type": "jp.tomoni.certificate.blessed.v3",
        "specversion": "1.0",
        "data": {"new": [1, None]},
    }
    fields |= changes
    return encode({key: value for key, value in fields.items() if value is not ...})


def test_an_event_of_an_unknown_type_is_kept_with_its_subject() -> None:
    event = decode_event(_unknown())
    assert event == UnknownEvent(
        type="jp.tomoni.certificate.blessed.v3", source=ENVELOPE["source"], subject=ENVELOPE["subject"]
    )


def test_an_unknown_event_without_a_subject_concerns_the_whole_log() -> None:
    event = decode_event(_unknown(subject=...))
    assert isinstance(event, UnknownEvent)
    assert event.subject is None


@pytest.mark.parametrize(
    "changes",
    [{"id": ...}, {"id": 1}, {"source": ...}, {"specversion": "0.3"}, {"subject": 5}, {"data": 1.5}, {"é": 1}],
)
def test_an_unknown_event_must_still_be_a_canonical_cloudevent(changes: dict[str, object]) -> None:
    with pytest.raises(EventError):
        decode_event(_unknown(**changes))


@pytest.mark.parametrize("subject", ["", "scheme\0", "scheme\n", "two words", "é", "x" * 121])
def test_a_subject_is_one_to_120_visible_ascii_characters(subject: str) -> None:
    unlike = msgspec.structs.replace(ISSUED, subject=subject)
    for entry in (_unknown(subject=subject), encode(unlike)):
        with pytest.raises(EventError):
            decode_event(entry)


def test_how_deep_a_value_may_be_does_not_depend_on_the_readers_stack() -> None:
    def nested(depth: int) -> bytes:
        return _unknown(data=msgspec.json.decode("[" * depth + "]" * depth))

    def read_below(frames: int, entry: bytes) -> object:
        return decode_event(entry) if frames == 0 else read_below(frames - 1, entry)

    for frames in (0, 500):
        assert isinstance(read_below(frames, nested(31)), UnknownEvent)
        for depth in (32, 400, 800):
            with pytest.raises(EventError):
                read_below(frames, nested(depth))


def test_an_old_version_is_lifted_step_by_step() -> None:
    def erased(event: CertificateRevoked) -> CertificateErased:
        return CertificateErased(**ENVELOPE, data=Data(version=event.data.version))

    def revoked(event: CertificateIssued) -> CertificateRevoked:
        data = CertificateRevokedData(version=event.data.version, effect="ended", effective_on=event.data.certified_on)
        return CertificateRevoked(**ENVELOPE, data=data)

    lifted = decode_event(GOOD, {CertificateIssued: revoked, CertificateRevoked: erased})
    assert lifted == CertificateErased(**ENVELOPE, data=Data(version=1))


@pytest.mark.parametrize("text", [b'"issuers":{"codes":["131130"],"network":"n"}', b'"issuers":{}'])
def test_issuers_are_named_in_exactly_one_way(text: bytes) -> None:
    entry = (
        b'{"data":{"conditions":[],"effective_from":"2026-11-01",' + text + b',"keeps_recognised":false,'
        b'"kinds":["partnership"],"pattern":"E","precedence":0,"services":["welfare"],"version":1},'
        b'"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000007",'
        b'"source":"tomoni.example/131130","specversion":"1.0","subject":"arrangement/1",'
        b'"time":"2026-11-23T03:38:36.000000Z","type":"jp.tomoni.arrangement.declared.v1"}'
    )
    good = entry.replace(text, b'"issuers":{"codes":["131130"]}')
    assert not isinstance(decode_event(good), UnknownEvent)
    with pytest.raises(EventError, match="not an event"):
        decode_event(entry)


def test_a_correction_corrects_something() -> None:
    entry = (GOOD.replace(b"issued", b"corrected").replace(b'"document":"' + b"ab" * 32 + b'",', b"")).replace(
        b'"kind":"partnership",', b""
    )
    assert not isinstance(decode_event(entry), UnknownEvent)
    with pytest.raises(EventError):
        decode_event(entry.replace(b'"certified_on":"2026-11-23",', b""))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (types.Code, "131130"),
        (types.PrefectureCode, "13"),
        (types.Time, ENVELOPE["time"]),
        (types.Uuid, ENVELOPE["id"]),
        (types.Sha256Hex, "ab" * 32),
        (types.Slug, "kanto"),
        (types.NkeyPublic, "U" + "A" * 55),
        (types.Signature, "A" * 86 + "=="),
        (types.Service, "x-local"),
        (types.Condition, "both-present"),
    ],
)
def test_a_word_has_one_form(kind: object, value: str) -> None:
    fullwidth = value.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    assert msgspec.convert(value, kind) == value
    for other in {f"{value}\n", f"\n{value}", f"{value} ", fullwidth} - {value}:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(other, kind)
