"""Histories in folders: what is right proves; whatever is changed anywhere is found, and where it is is said."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auditor.archives import Archive, lively
from tests.evidence.making import forked_from
from tests.federation.towns import NOW, Town, unknown_event
from tests.tlog import reference
from tomoni.events import jurisdiction as j
from tomoni.tlog.checkpoint import sign_checkpoint
from tomoni.tlog.cosignature import cosign, generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni_auditor.history.faults import HistoryFault
from tomoni_auditor.history.folders import Keys, prove_folder
from tomoni_auditor.history.proving import Proven
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.audit import app


def findings(archive: Archive, keys=None, codes=()):
    return list(prove_folder(archive.folder, Keys(archive.keys if keys is None else keys), codes))


def fault_of(archive: Archive, keys=None) -> HistoryFault:
    *before, last = findings(archive, keys)
    assert all(isinstance(one, Proven) for one in before), before
    assert isinstance(last, HistoryFault), last
    return last


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "histories")


def of_one(archive: Archive, town: Town) -> Archive:
    archive.admit(town)
    archive.write(town)
    return archive


class TestRightHistories:
    def test_a_folder_is_proven_with_the_keys_of_the_federation_alone(self, archive: Archive):
        shibuya, setagaya = archive.admit(lively("131130", 120)), archive.admit(lively("131121", 3))
        for size in (1, 255, 256, 257, 600):
            archive.sign(shibuya, size)
        archive.sign(shibuya)
        archive.write(shibuya, setagaya)
        own, small, large = findings(archive)
        assert (own.code, own.size, own.receipts) == ("federation", 2, 0)
        assert (small.code, small.size) == ("131121", 18)
        assert (large.code, large.size, large.checkpoints, large.receipts) == ("131130", 720, 6, 6)
        assert large.root == reference.mth(shibuya.entries).hex()
        assert large.known_as_of == NOW + timedelta(minutes=6)
        assert large.heard_at == NOW

    def test_without_the_federations_log_the_logs_own_key_is_needed_and_enough(self, archive: Archive):
        town = lively("131130", 2)
        archive.sign(town)
        archive.write(town)
        for file in sorted((archive.folder / "federation").rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        (archive.folder / "federation").rmdir()
        (found,) = findings(archive, [town.log_key.vkey])
        assert (found.size, found.receipts_checked, found.known_as_of) == (12, False, None)
        with pytest.raises(SourceError, match="no key was given for the log of 131130: give"):
            findings(archive)

    def test_an_empty_log_is_proven(self, archive: Archive):
        of_one(archive, Town("131130"))
        assert [one.size for one in findings(archive)] == [1, 0]

    def test_what_a_log_serves_to_any_tool_is_enough_and_less_is_said_of_it(self, archive: Archive):
        of_one(archive, lively("131130", 1))
        for name in ("checkpoints", "receipts", "heartbeat"):
            (archive.folder / "131130" / name).unlink()
        found = findings(archive)[-1]
        assert (found.size, found.receipts, found.known_as_of, found.heard_at) == (6, 0, None, None)

    def test_an_event_of_an_unknown_type_is_said_and_what_it_is_about_is_not_judged(self, archive: Archive):
        town = lively("131130", 1)
        certificate, _ = town.issue()
        town.append(unknown_event(town, f"certificate/{certificate}"))
        town.reinstate(certificate)
        of_one(archive, town)
        assert findings(archive)[-1].unknown_events == 1

    def test_the_command_prints_what_it_proved(self, archive: Archive, capsys):
        of_one(archive, lively("131130", 1))
        arguments = [str(archive.folder), *(f"--key={key}" for key in archive.keys)]
        with pytest.raises(SystemExit) as ended:
            app(["verify", *arguments, "--json"])
        report = json.loads(capsys.readouterr().out)
        assert (ended.value.code, report["ok"], [one["code"] for one in report["logs"]]) == (
            0,
            True,
            ["federation", "131130"],
        )
        with pytest.raises(SystemExit):
            app(["verify", *arguments])
        assert "held by the federation as of 2026-11-23T03:01:00+00:00" in capsys.readouterr().out


class TestKeys:
    def test_a_rotation_is_followed_when_both_keys_have_signed_the_first_checkpoint_over_it(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town)
        for _ in range(2):
            old = town.rotate()
            archive.sign(town, signers=[old, town.log_key])
            town.issue()
            archive.sign(town)
        archive.write(town)
        assert findings(archive)[-1].size == 10

    @pytest.mark.parametrize("who", ["old", "new"])
    def test_one_of_the_two_keys_alone_cannot_change_the_key(self, archive: Archive, who: str):
        town = archive.admit(lively("131130", 1))
        archive.sign(town)
        old = town.rotate()
        archive.sign(town, signers=[old if who == "old" else town.log_key])
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.path, fault.position) == ("checkpoint", "131130/checkpoints", 7)

    def test_the_old_key_speaks_no_more_after_its_successor(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        old = town.rotate()
        archive.sign(town, signers=[old, town.log_key])
        town.issue()
        archive.sign(town, signers=[old])
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.path, fault.position) == ("131130/checkpoints", 8)

    def test_a_rotation_without_a_checkpoint_by_the_old_key_is_not_believed(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        town.rotate()
        town.issue()
        archive.sign(town, receipt=False)
        archive.write(town)
        (archive.folder / "131130" / "checkpoints").unlink()
        assert fault_of(archive).path == "131130/checkpoint"

    def test_a_key_that_was_used_before_is_no_next_key(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        first = town.log_key
        town.append(town.event(j.KeyRotated, j.KeyRotatedData, "key", log_key=first.vkey))
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.position) == ("event", 6)

    def test_a_readmitted_log_goes_on_with_the_key_it_was_readmitted_with(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town)
        archive.suspend(town, 6)
        lost, town.log_key = town.log_key, generate_signer(town.origin)
        archive.readmit(town, 6)
        archive.sign(town)
        town.issue()
        archive.sign(town)
        archive.write(town)
        assert findings(archive)[-1].size == 7
        town.issue()
        archive.sign(town, signers=[lost])
        archive.write(town)
        assert fault_of(archive).position == 8

    def test_a_rotation_at_another_size_than_its_checkpoint_is_not_believed(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town)
        town.issue()
        old = town.rotate()
        archive.sign(town, 7, signers=[town.log_key])  # the new key, before it is announced
        archive.sign(town, signers=[old, town.log_key])
        archive.write(town)
        assert fault_of(archive).position == 7

    def test_a_key_that_was_lost_is_followed_to_the_one_of_the_readmission_and_speaks_no_more(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town)
        archive.suspend(town, 6)
        lost, town.log_key = town.log_key, generate_signer(town.origin)
        archive.readmit(town, 6)
        old = town.rotate()
        archive.sign(town, signers=[old, town.log_key])
        town.issue()
        archive.sign(town)
        archive.write(town)
        assert findings(archive)[-1].size == 8
        archive.notes["131130"][1] = town.note(7, signers=[lost])
        archive.write(town)
        assert fault_of(archive).position == 7

    def test_the_federations_own_next_keys_are_followed_from_the_first_one(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        keys = archive.keys
        archive.sign(archive.federation, receipt=False)
        for _ in range(2):
            old = archive.federation.rotate()
            archive.sign(archive.federation, signers=[old, archive.federation.log_key], receipt=False)
        archive.suspend(town, 6)
        archive.sign(archive.federation, receipt=False)
        archive.write(town)
        own, of_town = findings(archive, keys)
        assert (own.size, of_town.size) == (4, 6)
        archive.suspend(town, 5)
        archive.sign(archive.federation, signers=[old], receipt=False)
        archive.write(town)
        assert (fault_of(archive, keys).path, fault_of(archive, keys).position) == ("federation/checkpoints", 5)

    @pytest.mark.parametrize("given", ["first", "last"])
    def test_receipts_are_followed_from_key_to_key_whichever_is_given(self, archive: Archive, given: str):
        town = archive.admit(lively("131130", 1))
        first = archive.cosigner.vkey
        archive.sign(town, 3)
        archive.rotate_receipt_key()
        archive.sign(town)
        archive.write(town)
        keys = [archive.federation.log_key.vkey, first if given == "first" else archive.cosigner.vkey]
        found = findings(archive, keys)[-1]
        assert (found.receipts, found.receipts_checked, found.known_as_of) == (2, True, NOW + timedelta(minutes=2))

    def test_a_receipt_by_a_key_that_was_replaced_before_its_time_is_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        replaced = archive.cosigner
        archive.sign(town, 3)
        archive.rotate_receipt_key()
        archive.cosigner, following = replaced, archive.cosigner
        archive.sign(town, 4)
        archive.sign(town)
        archive.write(town)
        keys = [archive.federation.log_key.vkey, following.vkey]
        fault = fault_of(archive, keys)
        assert (fault.code, fault.path, fault.position) == ("receipt", "131130/receipts", 6)
        assert "was replaced before" in fault.found

    def test_a_key_for_receipts_that_the_one_before_has_not_signed_for_is_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.rotate_receipt_key(forged=True)
        archive.write(town)
        own, fault = findings(archive)
        assert isinstance(own, Proven)
        assert (fault.code, fault.path, fault.position) == ("receipt", "federation/checkpoint", 1)

    def test_a_log_that_was_quarantined_is_the_branch_with_which_it_was_readmitted(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town, 3)
        archive.quarantine(town, "ab" * 32)
        dropped, counts = forked_from(town, 3), forked_from(town, 3)
        for branch in (dropped, counts):
            branch.log_key = generate_signer(town.origin)
            for _ in range(300):
                branch.issue()
        archive.readmit(counts, 3, size=301, root=counts.checkpoint_at(301).root.hex())
        archive.sign(counts)
        archive.write(counts)
        proven = findings(archive)[-1]
        assert (proven.size, proven.evidence) == (303, ("ab" * 32,))
        dropped.log_key = counts.log_key
        for signed in (archive.notes, archive.receipts):
            signed["131130"] = signed["131130"][:1]
        archive.sign(dropped, 300)
        archive.write(dropped)
        assert findings(archive)[-1].size == 300
        archive.sign(dropped)
        archive.write(dropped)
        fault = fault_of(archive)
        assert (fault.code, fault.position) == ("admission", 301)
        assert counts.checkpoint_at(301).root.hex() in fault.expected

    def test_what_was_signed_beyond_a_suspension_does_not_count(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.suspend(town, 5)
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.position) == ("admission", 5)

    def test_a_log_that_was_never_admitted_is_nobodys(self, archive: Archive):
        archive.admit(lively("131121", 1))
        archive.write(lively("131130", 1))
        assert fault_of(archive).code == "admission"

    def test_keys_that_did_not_ask_for_their_admission_are_found(self, archive: Archive):
        town = Town("131130")
        archive.admit(town)
        entry = archive.federation.entries[0]
        key, other = town.heartbeat_key.vkey.encode(), generate_cosigner(f"{town.origin}/heartbeat").vkey.encode()
        archive.federation.entries[0] = entry.replace(key, other)
        archive.write(town)
        assert fault_of(archive).position == 0

    def test_another_federations_key_opens_nothing(self, archive: Archive):
        of_one(archive, lively("131130", 1))
        fault = fault_of(archive, [generate_signer("tomoni.example/federation").vkey])
        assert (fault.code, fault.path) == ("checkpoint", "federation/checkpoints")


class TestWordsThatAreWrong:
    def test_a_checkpoint_that_was_signed_over_other_entries_is_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        other = lively("131130", 1)
        other.log_key = town.log_key
        archive.sign(town, 3)
        archive.notes["131130"].append(other.note(4))
        archive.sign(town)
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.path, fault.position) == ("checkpoint", "131130/checkpoints", 4)
        assert fault.found.endswith("(note 2 of the file)")

    def test_a_receipt_of_somebody_else_is_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        note = archive.sign(town, receipt=False)
        archive.receipts["131130"] = [cosign(note, generate_cosigner("tomoni.example/receipts"), 5)]
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.path, fault.position) == ("receipt", "131130/receipts", 6)

    def test_a_heartbeat_of_somebody_else_is_found(self, archive: Archive):
        town = of_one(archive, lively("131130", 1))
        town = lively("131130", 1)
        archive = Archive(archive.folder.parent / "other")
        archive.admit(town)
        archive.write(town)
        stranger = generate_cosigner(f"{town.origin}/heartbeat")
        beat = sign_checkpoint(town.checkpoint_at(), [town.log_key], [stranger], 5)
        reference.put(archive.folder / "131130", "heartbeat", beat)
        fault = fault_of(archive)
        assert (fault.code, fault.path) == ("heartbeat", "131130/heartbeat")

    def test_a_receipt_beyond_the_newest_checkpoint_is_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town, 4)
        beyond = cosign(town.note(), archive.cosigner, 5)
        archive.receipts["131130"].append(beyond)
        archive.write(town)
        fault = fault_of(archive)
        assert (fault.code, fault.position) == ("receipt", 6)

    def test_checkpoints_of_which_the_newest_is_gone_are_found(self, archive: Archive):
        town = archive.admit(lively("131130", 1))
        archive.sign(town, 3)
        archive.sign(town)
        archive.write(town)
        reference.put(archive.folder / "131130", "checkpoints", archive.notes["131130"][0] + b"\n")
        fault = fault_of(archive)
        assert (fault.path, fault.position) == ("131130/checkpoints", 3)

    def test_a_cut_off_file_is_found(self, archive: Archive):
        of_one(archive, lively("131130", 1))
        file = archive.folder / "131130" / "receipts"
        file.write_bytes(file.read_bytes()[:-1])
        assert fault_of(archive).code == "receipt"


class TestIllegalEntries:
    def illegal(self, archive: Archive, town: Town) -> HistoryFault:
        of_one(archive, town)
        return fault_of(archive)

    def test_a_proven_entry_that_is_no_legal_event_is_named(self, archive: Archive):
        town = lively("131130", 60)
        certificate, _ = town.issue()
        town.revoke(certificate)
        town.revoke(certificate)
        at = town.size - 1
        town.reinstate(certificate)
        fault = self.illegal(archive, town)
        assert (fault.code, fault.position, fault.path) == ("event", at, "131130/tile/entries/001")

    def test_the_first_of_several_is_named(self, archive: Archive):
        town = lively("131130", 2)
        town.revoke("00000000-0000-4000-8000-000000000000")
        town.append(b"no event at all")
        town.append(town.entries[0])
        assert self.illegal(archive, town).position == 12

    def test_bytes_that_are_not_canonical_are_named(self, archive: Archive):
        town = lively("131130", 1)
        town.append(town.entries[0].replace(b'"data"', b' "data"', 1))
        assert self.illegal(archive, town).position == 6

    def test_two_documents_of_one_hash_are_named(self, archive: Archive):
        town = Town("131130")
        certificate, _ = town.issue()
        document = town.documents[certificate]
        cls, data = j.CertificateIssued, j.CertificateIssuedData
        subject = "certificate/00000000-0000-4000-8000-000000000001"
        fields = {"kind": "partnership", "certified_on": date(2026, 4, 1)}
        town.append(town.event(cls, data, subject, document=document, **fields))
        assert self.illegal(archive, town).position == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("whole") / "histories")
    town = archive.admit(lively("131130", 50))
    archive.sign(town, 7)
    archive.sign(town)
    old = town.rotate()
    archive.sign(town, signers=[old, town.log_key])
    for _ in range(5):
        town.issue()
    archive.sign(town)
    archive.write(town)
    assert all(isinstance(finding, Proven) for finding in findings(archive))
    return archive


class TestEveryBitCounts:
    """One folder in which everything occurs; then a bit of it is another, anywhere."""

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def test_a_bit_that_is_another_is_found_and_its_place_is_named(self, whole: Archive, data):
        file = data.draw(st.sampled_from(sorted(path for path in whole.folder.rglob("*") if path.is_file())))
        right = file.read_bytes()
        at = data.draw(st.integers(0, len(right) * 8 - 1))
        wrong = bytearray(right)
        wrong[at // 8] ^= 1 << at % 8
        file.write_bytes(wrong)
        try:
            fault = fault_of(whole)
        finally:
            file.write_bytes(right)
        path = str(file.relative_to(whole.folder))
        assert fault.path == path, fault
        self.require_place(fault, file, path, at // 8, right)

    def test_each_signature_of_a_hand_over_counts_among_the_receipts_too(self, whole: Archive):
        file = whole.folder / "131130" / "receipts"
        right = file.read_bytes()
        of_log = "\n\u2014 tomoni.example/131130 ".encode()
        places = [found.end() - 2 for found in re.finditer(re.escape(of_log), right)]
        assert len(places) > right.count(b"\n\n") // 2  # one of them is signed by two keys
        for at in places:
            file.write_bytes(right[:at] + b"1" + right[at + 1 :])
            try:
                assert fault_of(whole).path == "131130/receipts"
            finally:
                file.write_bytes(right)

    def require_place(self, fault: HistoryFault, file: Path, path: str, byte: int, right: bytes) -> None:
        """Require that the position is that of what stands at the byte, as exactly as it can be known."""
        if "/tile/entries/" in path:
            # an entry whose length is another takes those behind it along: the bundle is named
            assert fault.position is not None
            first = int(file.name.split(".")[0] if file.parent.name == "entries" else file.parent.name[:3]) * 256
            assert first <= fault.position < first + 256
        elif "/tile/0/" in path:
            first = int((file.parent.name if file.parent.name.endswith(".p") else file.name)[:3]) * 256
            assert fault.position == first + byte // 32
        elif "/tile/1/" in path:
            assert fault.position == byte // 32 * 256
        elif path.endswith("s"):
            number = right[:byte].count(b"\n\n") // 2 + 1
            assert f"(note {number} of the file)" in fault.found or fault.position is not None


def test_a_log_of_several_levels_is_proven(archive: Archive):
    town = archive.admit(Town("131130"))
    entry = unknown_event(town, "weather/today")
    town.append(*[entry] * 66_000)
    archive.sign(town)
    archive.write(town)
    assert findings(archive)[-1].size == 66_000
