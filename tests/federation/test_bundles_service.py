"""`tomoni federation import` as an operator calls it, beside a service that takes in and answers."""

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

from tests.bundles import carry
from tests.federation.test_service import scene, seen
from tests.federation.towns import FEDERATION, Town
from tests.transport.hubs import SHIBUYA, until
from tomoni import times
from tomoni.receipt_keys import from_file
from tomoni.tlog.cosignature import CosignatureVerifier, Cosigner, open_cosigned
from tomoni.transport import last_message, receipts_subject
from tomoni.transport.subjects import RECEIPTS
from tomoni_federation.initialise import NewFederation, initialise

__all__ = ["scene"]


async def started(settings: Path, *arguments: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "tomoni_cli.main", "federation", *arguments]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, "--config", str(settings), stdout=pipe, stderr=pipe)


async def called(settings: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run a command; return its status and what it printed."""
    process = await started(settings, *arguments)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_an_import_killed_again_and_again_beside_the_wire_ends_whole_and_the_receipt_reaches_its_node_both_ways(
    scene, tmp_path
):
    town, relay, settings = scene.towns[SHIBUYA], scene.relays[SHIBUYA], scene.service.files.settings
    for _ in range(600):
        _, handle = town.issue()
    file = carry(town, tmp_path / "shibuya.bundle", step=5, heartbeat=town.heartbeat(times.now()).data)

    async def proven() -> int:
        ((size,),) = await scene.rows("SELECT proven_size FROM mirror.log WHERE log = $1", town.code)
        return size

    for round_number in range(2):
        before, process = await proven(), await started(settings, "import", str(file))
        while await proven() == before and process.returncode is None:
            pass
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
        if round_number == 0:
            await relay.send(300)
    status, out, errors = await called(settings, "import", str(file), "--json")
    assert status == 0, errors
    told = json.loads(out)
    assert (told["code"], told["proven"], told["size"]) == (town.code, 600, 600)
    await seen(scene, town, handle)
    await scene.require_everything_once()

    receipts = Cosigner.parse(scene.service.files.receipts_key.read_text().strip()).verifier
    receipt = tmp_path / "shibuya.bundle.receipt"
    assert told["receipt"] == str(receipt)
    note = receipt.read_bytes()
    assert note.startswith(town.checkpoint_at().to_text().encode())
    assert open_cosigned(note, receipts) > 0
    assert stat.S_IMODE(receipt.stat().st_mode) == 0o600
    assert (await called(settings, "receipt", town.code, str(tmp_path / "again")))[0] == 0
    assert (tmp_path / "again").read_bytes() == note

    async def arrived() -> bool:
        found = await last_message(relay.connection, RECEIPTS, receipts_subject(SHIBUYA))
        return found is not None and found.data == note

    await relay.send()  # the network is back: it publishes what a bundle has brought already
    await until(arrived)
    await scene.require_everything_once()


async def test_what_is_refused_or_broken_off_ends_with_status_1_and_says_why_and_goes_on_without_a_service(
    federation, database, tmp_path
):
    town = Town(SHIBUYA)
    town.issue()
    await federation.admit(town)
    new = NewFederation(
        name=FEDERATION, folder=tmp_path / "new", owner_database=database.owner_dsn, database=database.runner_dsn
    )
    settings = (await initialise(new)).files.settings
    file = carry(town, tmp_path / "file")
    file.write_bytes(file.read_bytes()[:-10])
    status, out, errors = await called(settings, "import", str(file))
    assert (status, out) == (1, "")
    assert "no whole and unaltered bundle" in errors
    carry(town, file)
    read_only = f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = '
    await federation.as_owner(f"{read_only} on")
    status, out, errors = await called(settings, "import", str(file))
    assert (status, out) == (1, "")
    assert "broken off by ReadOnlySQLTransactionError" in errors
    assert "Traceback" not in errors
    await federation.as_owner(f"BEGIN READ WRITE; {read_only} off; COMMIT")
    status, out, errors = await called(settings, "import", str(file), "--receipt", str(tmp_path / "r"))
    assert (status, errors) == (0, "")
    assert "1 entries of 131130 are new; 1 are proven." in out
    assert "complete as of no time: no heartbeat counts yet" in out
    note = (tmp_path / "r").read_bytes()
    assert note.startswith(town.checkpoint_at().to_text().encode())
    await federation.pool.close()  # whoever rotates is alone
    told = await called(settings, "rotate-receipt-key")
    assert told[0] == 0, told[2]
    assert (await called(settings, "receipt", town.code, str(tmp_path / "r")))[0] == 0
    carried, [rotation] = from_file((tmp_path / "r").read_bytes())
    assert carried == note
    assert open_cosigned(note, CosignatureVerifier.parse(rotation.replaces)) > 0
