"""`tomoni audit replay`, `explain`, `diff` and `timeline` as people and scripts call them."""

import asyncio
import csv
import io
import json
import random
from datetime import timedelta

import pytest

from tests.auditor.archives import Archive, write_mirror, write_town
from tests.auditor.test_replay import varied
from tests.federation.test_recognition_history import MINUTE, admitted, ask, hear, set_clock
from tests.federation.towns import FEDERATION, NOW, Town
from tests.federation.watching import served
from tomoni.documents import document_hash
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import generate_cosigner
from tomoni_cli.audit import app


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        try:
            status = app([str(one) for one in arguments], result_action="return_value") or 0
        except SystemExit as ending:
            status = ending.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def towns():
    return Town("131130"), Town("131121")


@pytest.fixture
def folder(tmp_path, towns):
    receipts = generate_cosigner(f"{FEDERATION}/receipts")
    for town in towns:
        certificate, _ = town.issue()
        town.issue()
        town.revoke(certificate)
        day = timedelta(days=1)
        write_town(tmp_path, town, receipts, [(1, NOW - 2 * day), (2, NOW - day), (3, NOW)])
    return tmp_path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_everything_is_counted_for_people_on_any_day(run, folder):
    status, out, _ = run("replay", folder)
    assert status == 0
    assert all(word in out for word in ("131130", "131121", "certificates", "ended"))
    status, out, _ = run("replay", folder, "--to", "2026-11-21", "--json")
    assert [(one["log"], one["size"], one["of"]) for one in lines(out) if "counts" in one] == [
        ("131121", 1, 3),
        ("131130", 1, 3),
    ]


def test_rows_are_lines_of_json_or_csv(run, folder, towns):
    _, out, _ = run("replay", folder, "--code", "131130", "--json")
    rows = lines(out)
    assert {row.get("table", "summary") for row in rows} == {"certificate", "document", "position", "summary"}
    certificates = [row for row in rows if row.get("table") == "certificate"]
    assert {row["certificate"]: row["effect"] for row in certificates} == dict(
        zip(towns[0].documents, ("ended", None), strict=True)
    )
    _, out, _ = run("replay", folder, "--csv")
    read = list(csv.DictReader(io.StringIO(out)))
    assert [(row["log"], row["kind"]) for row in read] == [("131121", "partnership")] * 2 + [
        ("131130", "partnership")
    ] * 2


def test_one_certificate_at_a_position(run, folder, towns):
    certificate = next(iter(towns[0].documents))
    one = ("--code", "131130", "--certificate", certificate)
    for position, effect in ((2, None), (3, "ended")):
        _, out, _ = run("replay", folder, *one, "--to", position, "--json")
        assert lines(out)[0]["effect"] == effect
    status, out, _ = run("replay", folder, *one)
    assert (status, certificate in out, "2026-05-01" in out) == (0, True, True)
    _, out, _ = run("replay", folder, *one, "--csv")
    assert len(out.splitlines()) == 2


def test_of_one_issuer_people_see_what_it_has_declared_and_how_it_stood(run, tmp_path):
    archive = Archive(tmp_path / "histories")
    town = archive.admit(Town("131130"))
    varied(town, random.Random(1))
    archive.suspend(town, town.size)
    archive.sign(town)
    archive.write(town)
    status, out, _ = run("replay", archive.folder, "--code", "131130")
    assert status == 0
    assert "suspended" in out
    for said in (
        "pattern E, for 131121, 271004, public-housing, from 2026-04-01, withdrawn on 2026-10-01",
        "network national: member from 2026-01-01",
        "network national: no member from 2026-09-01",
    ):
        assert said in out, said
    _, out, _ = run("replay", archive.folder, "--json")
    rows = lines(out)
    assert {row["table"] for row in rows[:-1]} == {
        "certificate",
        "document",
        "arrangement",
        "membership",
        "position",
        "stream",
    }
    assert rows[-1]["standing"] == "suspended"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "2"), "name it by one --code"),
        (("--to", "yesterday", "--code", "131130"), "a day such as"),
        (("--certificate", "x"), "by one --code"),
        (("--json", "--csv"), "one of --json and --csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder, arguments, told):
    with pytest.raises(SettingsError, match=told):
        app(["replay", str(folder), *arguments], result_action="return_value")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--code", "131130", "--to", "9"), "ends at 3 entries"),
        (("--code", "131130", "--to", "2020-01-01"), "no proof of this log by then"),
        (("--code", "271004"), "holds no log of 271004"),
        (("--code", "131130", "--certificate", "x"), "no certificate"),
    ],
)
def test_what_the_folder_does_not_say_ends_with_status_2(run, folder, arguments, told):
    status, out, err = run("replay", folder, *arguments)
    assert (status, out) == (2, "")
    assert told in err


@pytest.mark.parametrize("command", [("replay",), ("explain", "131130"), ("timeline", "131130", "-o", "life.html")])
def test_a_folder_that_is_not_there_ends_with_status_2(run, tmp_path, command):
    name, *rest = command
    status, out, err = run(name, tmp_path / "away", *rest, *(("--document", "0" * 64) if name == "explain" else ()))
    assert (status, out) == (2, "")
    assert "folder" in err


def test_a_log_that_stopped_is_told_with_its_entry_and_status_1(run, folder, towns):
    towns[0].append(b"no event")
    write_town(folder, towns[0])
    status, out, _ = run("replay", folder, "--code", "131130", "--json")
    assert (status, lines(out)[-1]["stopped_at"]) == (1, 3)
    assert "131130 stopped at entry 3: " in run("replay", folder)[1]


@pytest.fixture
async def known(desk, tmp_path):
    """Shibuya's certificate, which Setagaya recognises; known yesterday by the machine's clock."""
    set_clock(desk, NOW - MINUTE)
    shibuya, setagaya = await admitted(desk, "131130", "131121")
    setagaya.declare(shibuya.code, conditions=("identity-document",))
    _, handle = shibuya.issue()
    await hear(desk, shibuya, setagaya)
    set_clock(desk, NOW)

    async def folder():
        set_clock(desk, NOW + MINUTE)
        await hear(desk, shibuya, setagaya)
        return await write_mirror(tmp_path / "histories", desk.federation, shibuya, setagaya)

    return shibuya, setagaya, handle, folder


AT = ("--as-known-at", "2026-11-23T12:00:00")  # in Japan
AT_SETAGAYA = ("--receiver", "131121", "--service", "public-housing")


async def test_an_answer_is_explained_in_words_with_each_proof(run, known):
    *_, handle, write = known
    folder = await write()
    status, out, _ = run("explain", folder, "131130", *AT_SETAGAYA, *AT, typed=handle)
    assert status == 0
    assert handle not in out
    for said in (
        "Decision: recognised at 131121 for public-housing, pattern E",
        "受け入れ側の証明書と同じに扱われます",
        "also to show: identity-document",
        "Status: valid",
        "131130, entry 0: Certificate issued (Partnership), certified on 2026-04-01",
        "131121, entry 0: Arrangement declared",
        "received on 2026-11-23 11:59:00 JST",
    ):
        assert said in out, said
    _, out, _ = run("explain", folder, "131130", "--document", document_hash("131130", handle), *AT, "--json")
    found = json.loads(out)
    assert (found["status"], found["decision"], len(found["entries"])) == ("valid", None, 1)


async def test_an_answer_on_file_is_borne_out_or_refuted(run, desk, known, tmp_path):
    shibuya, setagaya, handle, write = known
    as_known_at = {"as_known_at": NOW.isoformat()}
    right = tmp_path / "right.json"
    right.write_text(json.dumps(await ask(desk, shibuya, handle, setagaya, **as_known_at)), "utf-8")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(right.read_text("utf-8").replace('"recognised"', '"not-recognised"'), "utf-8")
    unknown = tmp_path / "unknown.json"
    unknown.write_text(right.read_text("utf-8").replace('"recognised"', '"unknown"'), "utf-8")
    folder = await write()
    asked = ("explain", folder, "131130", *AT_SETAGAYA, "--document", document_hash("131130", handle))
    for answer, expected, said in (
        (right, 0, "BORNE OUT"),
        (wrong, 1, "answered        not-recognised\n    by the entries  recognised"),
        (unknown, 3, "OPEN: it says unknown"),
    ):
        status, out, _ = run(*asked, "--answer", answer)
        assert (status, said in out) == (expected, True), out


async def test_a_signed_statement_is_judged_only_if_its_signature_holds(run, desk, known, tmp_path):
    shibuya, _, handle, write = known
    body = {"issuer": shibuya.code, "handle": handle, "purpose": "counter"}
    headers = {"Authorization": f"Bearer {desk.token('verifier')}", "Accept": "application/jose"}
    statement, keys, others = (tmp_path / name for name in ("statement", "keys", "others"))
    statement.write_bytes((await desk.client.post("/v1/status", json=body, headers=headers)).content)
    keys.write_bytes((await desk.client.get("/v1/statements/keys")).content)
    others.write_bytes(b'{"keys":[]}')
    folder = await write()
    status, out, _ = run("explain", folder, "--statement", statement, "--keys", keys)
    assert (status, "BORNE OUT" in out, "Status: valid" in out) == (0, True, True)
    for arguments, told in (
        (("--statement", statement, "--keys", others), "does not hold"),
        (("--statement", statement), "the --keys of its federation"),
        (("131130", "--statement", statement, "--keys", keys), "says itself what was asked"),
        ((), "name the issuer"),
        (("131130", "--document", "00"), "64 hex digits"),
        (("131130", "--document", "0" * 64, "--as-known-at", "2999-01-01"), "a time that has been"),
        (("131130", "--document", "0" * 64, "--receiver", "131121"), "--receiver and --service together"),
    ):
        with pytest.raises(SettingsError, match=told):
            run("explain", folder, *arguments)


async def test_a_handle_that_is_mistyped_is_not_repeated(known, monkeypatch):
    *_, handle, write = known
    folder = await write()
    wrong = handle[:-1] + ("0" if handle[-1] != "0" else "1")
    monkeypatch.setattr("sys.stdin", io.StringIO(wrong))
    with pytest.raises(SettingsError, match="mistyped") as refused:
        app(["explain", str(folder), "131130"], result_action="return_value")
    assert wrong not in str(refused.value)


async def test_a_live_federation_is_compared_over_a_connection(run, desk, known, tmp_path):
    *_, write = known
    folder = await write()
    token = tmp_path / "token"
    token.write_text(desk.token("auditor"))
    token.chmod(0o600)
    async with served(desk) as (http, _):
        command = ("diff", folder, "--url", http.base_url, "--token-file", token)
        status, out, _ = await asyncio.to_thread(run, *command)
        assert (status, "131121  equal at 1 entries\n131130  equal at 1 entries\n" in out) == (0, True)
        await desk.federation.as_owner("UPDATE projection.certificate SET kind = 'familyship'")
        status, out, _ = await asyncio.to_thread(run, *command)
        assert status == 1
        assert "131130  DIFFERENT at 1 entries: certificate" in out
        assert "in       kind" in out
        (folder / "131121").rename(folder / "271004")
        status, out, _ = await asyncio.to_thread(run, *command, "--code", "271004", "--json")
        assert (status, json.loads(out)[0]["outcome"]) == (3, "not-comparable")
    status, _, err = await asyncio.to_thread(run, *command)
    assert (status, "no answer" in err) == (2, True)
    status, _, err = run("diff", folder, "--url", "http://federation.example", "--token-file", token)
    assert (status, "only sent over https" in err) == (2, True)


def test_a_life_is_written_to_one_file(run, folder, tmp_path, towns):
    page = tmp_path / "life.html"
    assert run("timeline", folder, "131130", "--output", page)[0] == 0
    assert "渋谷区" in page.read_text("utf-8")
    certificate = next(iter(towns[0].documents))
    assert run("timeline", folder, "131130", "--certificate", certificate, "-o", page)[0] == 0
    assert certificate in page.read_text("utf-8")
    assert run("timeline", folder, "131130", "--certificate", "x", "-o", page)[0] == 2
    assert run("timeline", folder, "131130", "-o", tmp_path)[0] == 2
