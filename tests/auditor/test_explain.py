"""Explanations from a folder: the federation's answer at any time with every entry proven; wrong ones are refuted."""

import random
from datetime import date, timedelta

import msgspec
import pytest

from tests.auditor.archives import put_notes, write_files, write_mirror
from tests.federation.test_recognition_answers import accept, charter, join
from tests.federation.test_recognition_history import MINUTE, act, admitted, ask, hear, set_clock
from tests.federation.towns import NOW
from tomoni.documents import document_hash
from tomoni.history.terms import TERMS
from tomoni.statements import read_signed
from tomoni.tlog.cosignature import cosign
from tomoni.tlog.merkle import verify_inclusion
from tomoni_auditor.explain.explaining import explain
from tomoni_auditor.explain.explanation import Asked
from tomoni_auditor.explain.given import of_body, of_statement
from tomoni_auditor.verify.sources import SourceError

WEEK = timedelta(days=7)
LATER = int((NOW + WEEK).timestamp())


def question(issuer, handle, receiver=None, **fields):
    service = None if receiver is None else "public-housing"
    document = bytes.fromhex(document_hash(issuer.code, handle))
    code = None if receiver is None else receiver.code
    return Asked(issuer=issuer.code, document=document, receiver=code, service=service, max_age=WEEK, **fields)


def told(answer):
    """Return what a federation's answer says, as an explanation has it."""
    return (
        answer["decision"],
        [one["code"] for one in answer["reasons"]],
        answer["certificate"]["status"],
        answer["certificate"].get("reason"),
        answer.get("pattern"),
        answer.get("terms_ja"),
        answer.get("conditions", []),
        [(one["arrangement"], one["outcome"], one["reason"]) for one in answer.get("considered", [])],
    )


def explained(found):
    return (
        found.decision,
        [one.code for one in found.reasons],
        found.status,
        found.status_reason,
        found.pattern,
        found.terms_ja,
        list(found.conditions),
        [(one.arrangement, one.outcome, one.reason) for one in found.considered],
    )


def prove(found, towns):
    """Check each entry's proof with nothing but its leaf hash and the root of its checkpoint."""
    logs = {town.code: town for town in towns}
    for one in found.entries:
        proof = [bytes.fromhex(each) for each in one.proof]
        root = bytes.fromhex(one.checkpoint_root)
        verify_inclusion(bytes.fromhex(one.leaf_hash), one.position, one.checkpoint_size, proof, root)
        if one.log in logs:
            assert root == logs[one.log].checkpoint_at(one.checkpoint_size).root


@pytest.mark.parametrize("seed", range(2))
async def test_an_explanation_is_the_answer_that_was_given_at_the_time(desk, tmp_path, seed):
    chance = random.Random(seed)
    set_clock(desk, NOW - timedelta(hours=2))
    towns = await admitted(desk, "131130", "131121")
    await charter(desk, conditions=[])
    for town in towns:
        town.ended, town.declared, town.member = set(), [], True
        join(town)
        await accept(desk, town)
    handles, given = [], []
    for _ in range(5):
        set_clock(desk, desk.now + MINUTE)
        for _ in range(4):
            town, other = chance.sample(towns, 2)
            if (handle := act(town, other, chance)) is not None:
                handles.append((town, handle, other))
        await hear(desk, *towns)
        for issuer, handle, receiver in chance.sample(handles, min(3, len(handles))):
            on = date(2026, 11, chance.randint(1, 22))
            answer = await ask(desk, issuer, handle, receiver, on=str(on))
            given.append((question(issuer, handle, receiver, on=on, as_known_at=desk.now), answer))
        set_clock(desk, desk.now + MINUTE)
    await hear(desk, *towns)
    folder = await write_mirror(tmp_path, desk.federation, *towns)
    for asked, answer in given:
        found = explain(folder, of_body(msgspec.json.encode(answer), asked))
        assert (found.judgement.verdict, found.judgement.differences) == ("borne-out", ())
        assert explained(found) == told(answer)
        shown = {(one.log, one.position) for one in found.entries}
        assert {(one["log"], one["position"]) for one in answer.get("entries", [])} <= shown
        assert all(one.receipt_at is not None and one.receipt_at <= asked.as_known_at for one in found.entries
                   if one.log != "federation")  # fmt: skip
        prove(found, towns)
    assert len({answer["decision"] for _, answer in given}) > 1


@pytest.fixture
async def pair(desk):
    set_clock(desk, NOW - timedelta(hours=2))
    shibuya, setagaya = await admitted(desk, "131130", "131121")
    setagaya.declare(shibuya.code)
    return shibuya, setagaya


async def test_the_status_alone_is_explained_by_every_entry_about_the_certificate(desk, pair, tmp_path):
    shibuya, _ = pair
    certificate, first = shibuya.issue()
    shibuya.issue()
    second = shibuya.reissue(certificate)
    shibuya.revoke(certificate)
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    found = explain(folder, question(shibuya, second, on=date(2026, 4, 20), as_known_at=desk.now))
    assert (found.status, found.decision) == ("valid", None)
    assert [one.position for one in found.entries] == [0, 2, 3]
    assert [one.en for one in found.entries][-1] == "Certificate ended with effect from 2026-05-01"
    assert found.entries[0].ja == "パートナーシップの証明書を交付（宣誓日 2026-04-01）"
    old = explain(folder, question(shibuya, first, on=date(2026, 4, 20), as_known_at=desk.now))
    assert (old.status, len(old.entries)) == ("replaced", 3)


async def test_what_came_later_is_neither_known_nor_shown(desk, pair, tmp_path):
    shibuya, setagaya = pair
    certificate, handle = shibuya.issue()
    await hear(desk, *pair)
    then = desk.now
    set_clock(desk, NOW)
    shibuya.revoke(certificate)
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    before = explain(folder, question(shibuya, handle, setagaya, as_known_at=then))
    assert (before.decision, before.sources[0].size) == ("recognised", 1)
    assert [(one.log, one.position) for one in before.entries] == [("131130", 0), ("131121", 0)]
    after = explain(folder, question(shibuya, handle, setagaya, as_known_at=NOW))
    assert (after.decision, after.status) == ("not-recognised", "not-valid")
    assert [one.receipt_at for one in after.entries] == [then, NOW]


async def test_a_town_that_was_quarantined_is_explained_by_the_federations_own_log(desk, pair, tmp_path):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    shibuya.append(b"no event")
    await hear(desk, *pair)
    assert await desk.office.record_evidence() == 1
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    found = explain(folder, question(shibuya, handle, setagaya, as_known_at=desk.now))
    assert (found.decision, found.status) == ("unknown", "unknown")
    assert (found.status_reason, found.sources[0].stopped_at) == ("issuer-quarantined", 1)
    own = [(one.position, one.en) for one in found.entries if one.log == "federation"]
    assert own == [(0, "Jurisdiction 131130 admitted"), (2, "Quarantined: its log contradicts itself")]


async def test_knowledge_older_than_the_purpose_allows_is_stale_with_what_was_last_proven(desk, pair, tmp_path):
    shibuya, _ = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    later = desk.now + WEEK + MINUTE
    found = explain(folder, question(shibuya, handle, as_known_at=later))
    assert (found.status, found.status_reason, found.last_proven) == ("unknown", "stale", "valid")
    ageless = msgspec.structs.replace(question(shibuya, handle, as_known_at=later), max_age=timedelta.max)
    assert explain(folder, ageless).status == "valid"


async def test_an_entry_changed_in_the_folder_explains_nothing(desk, pair, tmp_path):
    shibuya, _ = pair
    certificate, handle = shibuya.issue()
    shibuya.revoke(certificate)
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    tiles = (folder / shibuya.code / "tile/0/000.p/2").read_bytes()
    write_files(folder / shibuya.code, [shibuya.entries[0].replace(b"partnership", b"familyship"), shibuya.entries[1]])
    (folder / shibuya.code / "tile/0/000.p/2").write_bytes(tiles)
    with pytest.raises(SourceError, match="not those under the checkpoint"):
        explain(folder, question(shibuya, handle, as_known_at=desk.now))


@pytest.mark.parametrize("missing", ["federation", "131130", "131121"])
async def test_a_folder_that_lacks_a_log_says_which(desk, pair, tmp_path, missing):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    (folder / missing).rename(tmp_path / "away")
    with pytest.raises(SourceError, match=missing):
        explain(folder, question(shibuya, handle, setagaya, as_known_at=desk.now))


async def test_each_pattern_is_explained_by_the_declaration_that_decided(desk, pair, tmp_path):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    services = dict(zip("ABCD", ("hospital-visit", "ambulance-record", "nursery", "welfare"), strict=True))
    for pattern, service in services.items():
        setagaya.declare(shibuya.code, pattern=pattern, services=(service,), conditions=("identity-document",))
    await hear(desk, *pair)
    folder = await write_mirror(tmp_path, desk.federation, *pair)
    for position, (pattern, service) in enumerate({"E": "public-housing", **services}.items()):
        asked = msgspec.structs.replace(question(shibuya, handle, setagaya, as_known_at=desk.now), service=service)
        found = explain(folder, asked)
        assert (found.decision, found.pattern, found.terms_ja) == ("recognised", pattern, TERMS[pattern].ja)
        prevailing = next(one for one in found.considered if one.outcome == "prevails")
        assert [entry.position for entry in prevailing.entries] == [position]
        assert (setagaya.code, position) in {(one.log, one.position) for one in found.entries}
        prove(found, pair)


@pytest.fixture
async def answered(desk, pair):
    """Shibuya's certificate, known for an hour and revoked half an hour ago, and what asks about it live, signed."""
    shibuya, setagaya = pair
    certificate, handle = shibuya.issue()
    await hear(desk, *pair)
    set_clock(desk, desk.now + 90 * MINUTE)
    shibuya.revoke(certificate)
    await hear(desk, *pair)
    set_clock(desk, NOW)
    await hear(desk, *pair)

    async def ask_signed(max_age=None, **fields):
        body = {
            "issuer": shibuya.code,
            "handle": handle,
            "receiver": setagaya.code,
            "service": "public-housing",
            "purpose": "counter",
        }
        headers = {"Authorization": f"Bearer {desk.token('verifier')}", "Accept": "application/jose"}
        answer = await desk.client.post("/v1/recognition", json=body | fields, headers=headers)
        return of_statement(read_signed(answer.content, await keys(desk)), max_age)

    async def folder(at):
        set_clock(desk, NOW + MINUTE)
        await hear(desk, *pair)
        return await write_mirror(at, desk.federation, *pair)

    return ask_signed, folder, handle


async def keys(desk):
    return (await desk.client.get("/v1/statements/keys")).content


REVIVE = "UPDATE projection.certificate SET effect = NULL, effective_on = NULL"


async def test_a_signed_answer_that_the_entries_cannot_have_led_to_is_refuted(desk, answered, tmp_path):
    ask_signed, write, _ = answered
    right = await ask_signed()
    await desk.federation.as_owner(REVIVE)
    wrong = await ask_signed()
    assert (right.answer.decision, wrong.answer.decision) == ("not-recognised", "recognised")
    folder = await write(tmp_path)
    assert explain(folder, right).judgement.verdict == "borne-out"
    found = explain(folder, wrong)
    assert found.judgement.verdict == "refuted"
    differences = {one.field: (one.answered, one.by_entries) for one in found.judgement.differences}
    assert differences["decision"] == ("recognised", "not-recognised")
    assert differences["status"] == ("valid", "not-valid")
    assert [one.en for one in found.entries][1] == "Certificate ended with effect from 2026-05-01"


async def test_an_answer_may_lag_by_minutes_and_not_by_half_an_hour(desk, answered, tmp_path):
    ask_signed, write, _ = answered
    wrong = await ask_signed(as_known_at=(NOW - 40 * MINUTE).isoformat())
    folder = await write(tmp_path)
    assert wrong.answer.decision == "recognised"
    assert explain(folder, wrong).judgement.verdict == "borne-out"

    def said_at(minutes):
        """Take what was known forty minutes ago as a live answer of some time after the end became known."""
        at = NOW - 30 * MINUTE + minutes * MINUTE
        asked = msgspec.structs.replace(wrong.asked, as_known_at=at)
        certificate = msgspec.structs.replace(wrong.answer.certificate, fresh_as_of=at)
        answer = msgspec.structs.replace(wrong.answer, certificate=certificate, receiver_fresh_as_of=at)
        return type(wrong)(asked=asked, answer=answer, live=True)

    assert explain(folder, said_at(4)).judgement.verdict == "borne-out"
    assert explain(folder, said_at(6)).judgement.verdict == "refuted"


async def test_an_answer_fresher_than_its_time_or_staler_than_its_purpose_is_refuted(answered, tmp_path):
    ask_signed, write, _ = answered
    given = await ask_signed()
    folder = await write(tmp_path)

    def of(fresh):
        certificate = msgspec.structs.replace(given.answer.certificate, fresh_as_of=fresh)
        answer = msgspec.structs.replace(given.answer, certificate=certificate)
        return type(given)(asked=given.asked, answer=answer, live=True)

    for fresh in (NOW + MINUTE, NOW - timedelta(hours=25)):
        assert explain(folder, of(fresh)).judgement.verdict == "refuted"


async def test_unknown_is_never_refuted(desk, answered, tmp_path):
    ask_signed, write, _ = answered
    await desk.federation.as_owner("UPDATE projection.cursor SET halted = 'an outage'")
    given = await ask_signed()
    assert given.answer.decision == "unknown"
    judgement = explain(await write(tmp_path), given).judgement
    assert (judgement.verdict, "unknown" in judgement.why_open) == ("open", True)


async def test_a_folder_that_may_lack_what_was_known_refutes_nothing(desk, pair, answered, tmp_path):
    ask_signed, *_ = answered
    early = await write_mirror(tmp_path / "early", desk.federation, *pair)
    set_clock(desk, NOW + 10 * MINUTE)
    pair[0].reinstate(next(iter(pair[0].documents)))
    await hear(desk, *pair)
    given = await ask_signed()
    assert given.answer.decision == "recognised"
    judgement = explain(early, given).judgement
    assert (judgement.verdict, "fetch it again" in judgement.why_open) == ("open", True)
    set_clock(desk, NOW + 11 * MINUTE)
    await hear(desk, *pair)
    late = await write_mirror(tmp_path / "late", desk.federation, *pair)
    assert explain(late, given).judgement.verdict == "borne-out"


@pytest.mark.parametrize("receipts", ["none", "given anew"])
async def test_receipts_that_begin_after_an_answer_refute_nothing(desk, pair, answered, tmp_path, receipts):
    ask_signed, write, _ = answered
    await desk.federation.as_owner(REVIVE)
    wrong = await ask_signed()
    folder = await write(tmp_path)
    for town in pair:
        (folder / town.code / "receipts").unlink()
        if receipts == "given anew":
            put_notes(folder / town.code, "receipts", [cosign(town.note(), desk.federation.cosigner, LATER)])
    judgement = explain(folder, wrong).judgement
    assert (judgement.verdict, "no receipt of 131130 from before it" in judgement.why_open) == ("open", True)


async def test_what_may_have_been_taken_back_since_refutes_nothing(desk, pair, answered, tmp_path):
    ask_signed, write, _ = answered
    await desk.federation.as_owner(REVIVE)
    wrong = await ask_signed()
    set_clock(desk, NOW + MINUTE)
    await desk.post(f"/v1/jurisdictions/{pair[0].code}/suspend", {"from_size": 2}, "secretariat")
    await hear(desk, *pair)
    found = explain(await write(tmp_path), wrong)
    assert (found.judgement.verdict, found.sources[0].may_be_longer) == ("open", True)
    assert "taken out of its history" in found.judgement.why_open


async def test_a_statement_of_another_federation_is_not_judged_by_this_ones_logs(answered, tmp_path):
    ask_signed, write, _ = answered
    given = await ask_signed()
    other = type(given)(asked=given.asked, answer=given.answer, live=True, said_by="other.example")
    with pytest.raises(SourceError, match="one of other"):
        explain(await write(tmp_path), other)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "none that a federation gives"),
        (b"[]", "none that a federation gives"),
        (b'{"decision":"recognised"}', "--receiver and --service"),
        (b'{"status":"valid"}', "when it was given"),
        (b'{"status":"valid","fresh_as_of":"2026-11-23T03:00:01Z"}', "after the time named"),
        (b'{"status":"valid","fresh_as_of":"2026-11-23T03:00:00"}', "none that a federation gives"),
        (b'{"status":1,"as_known_at":"2026-11-23T03:00:00Z"}', "none that a federation gives"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(body, told):
    with pytest.raises(SourceError, match=told):
        of_body(body, Asked(issuer="131130", document=b"", as_known_at=NOW if b"fresh" in body else None))


async def test_a_purpose_that_the_federation_has_made_itself_needs_its_age(desk, answered):
    ask_signed, _, _ = answered
    with pytest.raises(SourceError, match="name --max-age"):
        await ask_signed(purpose="tour")


@pytest.mark.parametrize("max_age", [timedelta(0), WEEK])
async def test_an_age_that_is_named_counts_and_be_it_none_at_all(desk, answered, max_age):
    ask_signed, _, _ = answered
    assert (await ask_signed(max_age)).asked.max_age == max_age
