"""A node without a network: its log goes out as a file, a receipt comes back as one, and the next begins after it."""

import asyncio
import json
import stat
from io import BytesIO

import msgspec
import pytest

from tests.databases import created
from tests.registry.conftest import FEDERATION
from tests.registry.test_rotated_keys import key, rotate
from tests.registry.test_signing import until_signed
from tests.relay.nodes import RECEIPTS
from tomoni.bundle import BundleReader
from tomoni.database import create_pool
from tomoni.eventlog import Sequencer
from tomoni.eventlog.errors import CorruptLog
from tomoni.receipt_keys import sign_rotation, to_file
from tomoni.secret_files import SecretFileError
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import cosign, generate_cosigner
from tomoni.tlog.note import open_note
from tomoni_auditor.fetch.places import fetch_all
from tomoni_auditor.history.folders import Keys, prove_folder
from tomoni_cli.registry import app
from tomoni_federation.admissions.office import Office
from tomoni_federation.bundles.taking import Taker
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.projections.project import Projector
from tomoni_federation.schema import prepare
from tomoni_registry.bundles.export import export_bundle


def read(file):
    bundle = BundleReader(BytesIO(file.read_bytes()))
    return bundle, list(bundle.portions())


async def notes(node):
    rows = await node.sql("SELECT size, note FROM log.checkpoint WHERE size > 0 ORDER BY size")
    return {row["size"]: row["note"] for row in rows}


@pytest.fixture
async def signed(node):
    """A node with seven entries, all of them signed."""
    await node.open_scheme()
    await until_signed(node, 1)
    for _ in range(6):
        await node.issue()
    await until_signed(node, 7)
    return node


@pytest.fixture
def relay_settings(signed, administered):
    """Write what an operator completes in `relay.toml` (the key of receipts)."""
    file = signed.files.relay_settings
    file.write_text(file.read_text().replace("# receipt_key = …", f'receipt_key = "{RECEIPTS.verifier.vkey}" #'))
    return file


async def command(capsys, *arguments) -> tuple[int, str]:
    """Run a command of `tomoni registry` as its own thread; return its status and what it printed."""

    def run() -> int:
        try:
            app([str(each) for each in arguments])
        except SystemExit as ended:
            return int(ended.code or 0)
        except SettingsError as error:
            print(error)
            return 2
        return 0

    status = await asyncio.to_thread(run)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


async def test_what_is_signed_goes_out_whole_readable_by_nobody_else_and_says_as_of_when(signed, tmp_path):
    file = tmp_path / "bundle"
    exported = await export_bundle(signed.settings, file, 0)
    bundle, portions = read(file)
    assert (exported.start, exported.size, bundle.start, bundle.size) == (0, 7, 0, 7)
    assert [entry for one in portions for entry in one.entries] == await signed.entries()
    stored = await notes(signed)
    assert all(stored[one.size] == one.note for one in portions)
    [beat] = await signed.sql("SELECT time, note FROM log.heartbeat")
    assert bundle.heartbeat == beat["note"]
    assert exported.as_of.timestamp() == beat["time"]
    open_note(bundle.end, [key(signed, 1).verifier])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir() if "half" in one.name] == []


async def test_a_file_that_is_there_is_never_replaced_and_a_failure_leaves_none(signed, tmp_path):
    file = tmp_path / "bundle"
    with pytest.raises(SettingsError, match="7 signed entries, and not 8"):
        await export_bundle(signed.settings, file, 8)
    file.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        await export_bundle(signed.settings, file, 0)
    assert file.read_bytes() == b"mine"
    await signed.sql("ALTER TABLE log.entry DISABLE TRIGGER USER")
    await signed.sql("UPDATE log.entry SET data = 'x' WHERE position = 4")
    with pytest.raises(CorruptLog, match="entries from 0 to 6 are not what the checkpoint"):
        await export_bundle(signed.settings, tmp_path / "other", 0)
    assert {one.name for one in tmp_path.iterdir()} == {"node", "bundle"}


async def test_it_begins_at_the_nearest_checkpoint_at_or_before_the_size_asked_for(signed, tmp_path):
    sizes = [0, *await notes(signed)]
    for since in range(8):
        file = tmp_path / str(since)
        exported = await export_bundle(signed.settings, file, since)
        bundle, portions = read(file)
        assert bundle.start == exported.start == max(size for size in sizes if size <= since)
        assert bundle.size == 7
        assert sum(len(one.entries) for one in portions) == 7 - bundle.start


async def test_every_key_from_the_beginning_to_the_end_signs_a_bundle(node, tmp_path):
    await node.open_scheme()
    await until_signed(node, 1)
    await rotate(node)
    await export_bundle(node.settings, tmp_path / "whole", 1)
    await export_bundle(node.settings, tmp_path / "late", 2)
    keys = [key(node, number).verifier for number in (1, 2)]
    whole, portions = read(tmp_path / "whole")
    assert len(open_note(whole.end, keys).verified) == 2
    assert [one.size for one in portions] == [1, 2, 3]  # the hand-over is not passed over
    assert [name for name, _ in open_note(read(tmp_path / "late")[0].end, keys).verified] == [keys[1].name]
    node.files.log_key(1).rename(node.files.folder / "elsewhere")
    with pytest.raises(SecretFileError):
        await export_bundle(node.settings, tmp_path / "lost", 1)


@pytest.fixture
async def taker(signed, postgres):
    """A federation that has admitted the node and that no network connects with it."""
    with created(postgres) as database:
        await prepare(database.owner_dsn, database.runner)
        pool = await create_pool(database.runner_dsn)
        async with Sequencer(pool) as sequencer:
            office = Office(pool, sequencer, FEDERATION)
            await office.admit(signed.admission())
            receiver = Receiver(pool, FEDERATION, RECEIPTS)
            yield Taker(pool, FEDERATION, receiver, Projector(pool, FEDERATION), office)
        await pool.close()


async def test_a_log_goes_to_a_federation_and_to_an_auditor_by_hand_and_the_next_bundle_begins_after_the_receipt(
    signed, relay_settings, taker, tmp_path, capsys
):
    config, audited = ("--config", signed.files.settings), tmp_path / "audited"
    for number, before, size in ((1, 0, 7), (2, 7, 8)):
        file, receipt = tmp_path / f"{number}", tmp_path / f"{number}.receipt"
        status, told = await command(capsys, "export", file, *config)
        assert (status, f"{size - before} entries of 131130 after the size {before}, " in told) == (0, True), told
        taken = await taker.take(file)
        [beat] = await signed.sql("SELECT time FROM log.heartbeat")
        assert (taken.before, taken.proven, taken.size) == (before, size, size)
        assert taken.fresh_as_of.timestamp() == beat["time"]
        note = await taker._pool.fetchval("SELECT receipt FROM mirror.checkpoint WHERE size = $1", size)
        receipt.write_bytes(note)
        status, told = await command(capsys, "receipt", receipt, "--config", relay_settings)
        assert (status, f"proven and kept {size} entries of 131130" in told) == (0, True), told
        rows = await signed.sql("SELECT note FROM relay.receipt ORDER BY size DESC")
        assert rows[0]["note"] == note
        dict(fetch_all(str(file), audited))
        assert [one.size for one in prove_folder(audited, Keys([key(signed, 1).vkey]))] == [size]
        await signed.issue()
        await until_signed(signed, size + 1)
    status, told = await command(capsys, "export", tmp_path / "3", *config, "--since", "7", "--json")
    assert (json.loads(told)["since"], json.loads(told)["size"]) == (7, 9)
    status, told = await command(capsys, "export", tmp_path / "3", *config)
    assert (status, "is there already" in told) == (2, True), told


async def test_a_receipt_by_a_later_key_brings_the_rotations_along(signed, relay_settings, tmp_path, capsys):
    note, file = (await notes(signed))[7], tmp_path / "receipt"
    following = generate_cosigner(RECEIPTS.name)
    rotation = sign_rotation(FEDERATION, RECEIPTS, following, "2026-11-23T03:00:00.000000Z")
    receipt = cosign(note, following, 1_800_000_000)
    for content, expected in ((receipt, 1), (to_file(receipt, [rotation]), 0)):
        file.write_bytes(content)
        status, told = await command(capsys, "receipt", file, "--config", relay_settings)
        assert status == expected, told
    [kept] = await signed.sql("SELECT note FROM relay.receipt")
    assert kept["note"] == receipt


async def test_a_receipt_that_is_none_is_not_kept_and_one_of_another_log_is_shown_to_the_node(
    signed, relay_settings, tmp_path, capsys
):
    note = (await notes(signed))[7]
    foreign = sign_checkpoint(Checkpoint("tomoni.example/131130", 9, bytes(32)), [key(signed, 1)])
    file = tmp_path / "receipt"
    following = generate_cosigner(RECEIPTS.name)
    rotation = sign_rotation(FEDERATION, RECEIPTS, following, "2026-11-23T03:00:00.000000Z")
    proofs = sign_rotation(FEDERATION, following, following, rotation.time).proofs
    stolen = msgspec.structs.replace(rotation, proofs=proofs)
    for content, text in (
        (note, "no receipt of this federation"),
        (cosign(note, generate_cosigner(RECEIPTS.name), 1_800_000_000), "no receipt of this federation"),
        (cosign(note, RECEIPTS, 1_800_000_000)[:-5], "no receipt of this federation"),
        (cosign(note, RECEIPTS, 1_800_000_000).replace(b"\n7\n", b"\n6\n"), "no receipt of this federation"),
        (cosign(foreign, RECEIPTS, 1_800_000_000), "its checkpoint of size 9 is not in this log"),
        (to_file(cosign(note, following, 1_800_000_000), [stolen]), "both keys for receipts have to sign"),
        (to_file(cosign(note, RECEIPTS, 1_800_000_000), [stolen]), "both keys for receipts have to sign"),
        (b"Tomoni-Receipt-Keys: none\n\n" + cosign(note, RECEIPTS, 1_800_000_000), "no list of rotations"),
    ):
        file.write_bytes(content)
        status, told = await command(capsys, "receipt", file, "--config", relay_settings)
        assert (status, text in told) == (1, True), told
    assert await signed.sql("SELECT 1 FROM relay.receipt") == []
    assert [row["stream"] for row in await signed.sql("SELECT stream FROM relay.sighting")] == ["RECEIPTS"]
    status, told = await command(capsys, "receipt", tmp_path / "nowhere", "--config", relay_settings)
    assert (status, "cannot be read" in told) == (2, True), told
