"""Evidence files: what convinces, what does not, and that no byte of one can be changed."""

from datetime import date, timedelta
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evidence.making import (
    CODE,
    convicts,
    fork_of_one_size,
    fork_of_two_sizes,
    forked_from,
    guilty,
    illegal,
    keys_of,
    missing,
    repeated,
    shrinking,
)
from tests.federation.towns import NOW, Town, unknown_event
from tomoni.events import jurisdiction as j
from tomoni.evidence.form import Evidence, EvidenceError, Lines, read_evidence
from tomoni.evidence.judging import SLACK_SECONDS, judge
from tomoni.tlog.note import generate_signer
from tomoni_auditor.legality.reading import Reading

TOWN, FILES = guilty()


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_convinces_by_the_keys_of_the_log_alone(name):
    found = convicts(FILES[name], TOWN)
    assert (found.origin, found.evidence) == (TOWN.origin, read_evidence(Lines(BytesIO(FILES[name]))).hash)
    assert TOWN.log_key.vkey in found.keys
    assert found.proves.endswith(".")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_bit_flipped_anywhere_is_found_and_the_lines_are_named(name):
    data = FILES[name]
    for place, byte in enumerate(data):
        changed = bytearray(data)
        changed[place] = byte ^ 1 << place % 8
        with pytest.raises(EvidenceError) as found:
            convicts(bytes(changed), TOWN)
        line = data.count(b"\n", 0, place) + 1
        # Where a newline came or went, the lines that stand there now are those on either side of it.
        assert found.value.first <= line + 1, (place, found.value)
        assert line <= found.value.last, (place, found.value)
        assert str(found.value).startswith("line")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_cut_off_or_gone_on_with_does_not_convince(name):
    data = FILES[name]
    ends = [place for place, byte in enumerate(data) if byte == 10]
    for place in [0, 1, *ends, len(data) - 1]:
        with pytest.raises(EvidenceError):
            convicts(data[:place], TOWN)
    for more in (b"\n", b"x", b"bm8gZXZlbnQ=\n"):
        with pytest.raises(EvidenceError):
            convicts(data + more, TOWN)


@pytest.mark.parametrize("name", sorted(FILES))
def test_without_the_keys_of_the_log_nothing_is_proven(name):
    stranger = Town(CODE)
    for keys in ([], keys_of(stranger), keys_of(Town("131121"))):
        with pytest.raises(EvidenceError, match="no known key has signed"):
            judge(BytesIO(FILES[name]), keys)


def test_a_heartbeat_accuses_only_with_the_heartbeat_key_given():
    with pytest.raises(EvidenceError, match="give that key too"):
        judge(BytesIO(FILES["a shrinking log"]), [TOWN.log_key.verifier])


def test_the_same_key_must_have_signed_both_checkpoints():
    """Two keys of a log, one of which a thief has: what one signs says nothing about the other."""
    town = Town(CODE)
    town.issue()
    thief = Town(CODE, log_key=generate_signer(town.origin))
    thief.issue()
    file = fork_of_one_size(town, thief)
    with pytest.raises(EvidenceError, match="not signed by the key that has signed the first"):
        judge(BytesIO(file), [town.log_key.verifier, thief.log_key.verifier])


def test_the_signature_of_a_stranger_stands_for_nothing():
    other = generate_signer("example.com/witness")
    town = Town(CODE)
    town.issue()
    fork = forked_from(town, 0)
    fork.issue()
    for signers, told in (([other], "no known key"), ([town.log_key, other], "should be empty")):
        file = Evidence(kind="fork", notes=(town.note(signers=signers), fork.note())).to_bytes()
        with pytest.raises(EvidenceError, match=told):
            convicts(file, town)
    notes = (town.note(signers=[other]), fork.note(signers=[other]))
    with pytest.raises(EvidenceError, match="one key of its log, and nobody else"):
        judge(BytesIO(Evidence(kind="fork", notes=notes).to_bytes()), [other.verifier])


def test_what_does_not_fit_together_does_not_convince():
    town = Town(CODE)
    certificate, _ = town.issue()
    town.revoke(certificate)
    other, _ = town.issue()
    town.revoke(other)
    fork = forked_from(town, 1)
    fork.issue()
    two = read_evidence(Lines(BytesIO(fork_of_two_sizes(town, fork))))
    cases = [
        (Evidence(kind="fork", notes=two.notes), "a root and its proof are missing"),
        (Evidence(kind="fork", notes=two.notes[::-1], root=two.root, proof=two.proof), "comes second"),
        (Evidence(kind="shrinking", notes=two.notes), "no signature"),
        (Evidence(kind="illegal-entry", notes=two.notes[1:]), "0 entries where 1 should be"),
    ]
    for evidence, told in cases:
        with pytest.raises(EvidenceError, match=told):
            convicts(evidence.to_bytes(), town)
    for file, told in (
        (illegal(town, 1), "can stand in this log"),
        (repeated(town, 1, 0), "can stand behind the other"),
        (repeated(town, 0, 1), "does not stand before"),
        (missing(town, 3, 1), "about something else"),
        (missing(town, 3, 2), "can be the next"),
        (missing(town, 0), "can be the next"),
    ):
        with pytest.raises(EvidenceError, match=told):
            convicts(file, town)


def scheme(town, version):
    return town.event(j.SchemeClosed, j.SchemeClosedData, "scheme", version=version, closes_on=date(2026, 1, 1))


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (lambda town: unknown_event(town, None), "about the whole log"),
        (lambda town: unknown_event(town, "key"), "about the whole log"),
        (lambda town: unknown_event(town, "scheme"), "about the same subject"),
        (lambda town: scheme(town, 1), "about the same subject"),
        (lambda _: b"no event", "the first that is wrong"),
    ],
)
def test_what_may_stand_in_between_is_not_held_against_a_log(between, told):
    town = Town(CODE)
    town.issue()
    town.append(between(town))
    town.append(scheme(town, 2))
    with pytest.raises(EvidenceError, match=told) as found:
        convicts(missing(town, 2), town)
    assert found.value.first == found.value.last == missing(town, 2).count(b"\n")


def test_a_certificate_that_an_unknown_event_may_have_issued_is_not_held_against_a_log():
    town = Town(CODE)
    town.append(unknown_event(town, "certificate/" + "0" * 8))
    town.revoke("11111111-1111-1111-1111-111111111111")
    with pytest.raises(EvidenceError, match="may have issued the certificate"):
        convicts(missing(town, 1), town)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_entry_in_the_place_of_the_predecessor_is_found(place):
    """By leaving out the true predecessor every log could be accused."""
    town = Town(CODE)
    for _ in range(2):
        town.issue()
    town.append(scheme(town, 1))
    town.issue()
    town.append(scheme(town, 2))
    lines = missing(town, 4).splitlines(keepends=True)
    between = lines[-4:]
    lines[-2] = between[place]
    with pytest.raises(EvidenceError, match="these are not the log's entries from position 0 to 3"):
        convicts(b"".join(lines), town)


def test_heartbeats_near_to_each_other_accuse_nobody():
    town = Town(CODE)
    town.issue()
    town.issue()
    for seconds, size, told in ((SLACK_SECONDS - 1, 1, "clock"), (SLACK_SECONDS, 2, "no fewer"), (-9_000, 1, "clock")):
        with pytest.raises(EvidenceError, match=told):
            convicts(shrinking(town, 2, size, NOW, NOW + timedelta(seconds=seconds)), town)
    assert convicts(shrinking(town, 2, 1, NOW, NOW + timedelta(seconds=SLACK_SECONDS)), town).sizes == (2, 1)


@st.composite
def honest_logs(draw):
    """Return a town that does what towns do, and nothing wrong."""
    town = Town(CODE)
    ended, live = [], []
    for step in draw(st.lists(st.sampled_from("irnrudwk"), min_size=2, max_size=9)):
        match step:
            case "r" if live:
                ended.append(live.pop())
                town.revoke(ended[-1])
            case "n" if ended:
                live.append(ended.pop())
                town.reinstate(live[-1])
            case "u":
                town.append(unknown_event(town, draw(st.sampled_from([None, "key", "scheme", "certificate/x"]))))
            case "d":
                town.declare("131121")
            case "w":
                town.withdraw(town.declare("141003"))
            case _:
                live.append(town.issue()[0])
    return town


@settings(max_examples=60)
@given(honest_logs(), st.data())
def test_no_honest_log_can_be_accused(town, data):
    """Whatever is taken from its entries, its checkpoints and its heartbeats, in whatever order."""
    with Reading(town.origin) as reading:
        for position, entry in enumerate(town.entries):
            reading.take(position, entry)
        assert reading.first_illegal() is None  # by the auditor's own rules
    sizes = st.integers(1, town.size)
    old, new = sorted((data.draw(sizes), data.draw(sizes)))
    files = [fork_of_one_size(town, forked_from(town, old)), fork_of_two_sizes(town, forked_from(town, old))]
    minutes = sorted((data.draw(st.integers(0, 90)), data.draw(st.integers(0, 90))))
    at = [NOW + timedelta(minutes=one) for one in minutes]
    files.append(shrinking(town, old, new, *at))
    position = data.draw(st.integers(0, town.size - 1))
    earlier = data.draw(st.integers(0, position))
    files += [illegal(town, position), repeated(town, position, earlier), repeated(town, earlier, position)]
    files += [missing(town, position), missing(town, position, earlier)]
    for file in files:
        with pytest.raises(EvidenceError):
            convicts(file, town)
