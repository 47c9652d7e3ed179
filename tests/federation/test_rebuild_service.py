"""`tomoni federation rebuild` as an operator calls it, beside a service that answers and takes in."""

import asyncio
import os
import sys

import msgspec

from tests.federation.test_service import Scene, scene, seen
from tests.transport.hubs import SETAGAYA, SHIBUYA
from tomoni import times

__all__ = ["scene"]


async def called(scene: Scene, *options: str, json: bool = True) -> tuple[int, str]:
    """Run the command; return its status and what it printed."""
    command = [sys.executable, "-m", "tomoni_cli.main", "federation", "rebuild"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--config", str(scene.service.files.settings), *options, *(["--json"] if json else [])),
        env={**os.environ, "TOMONI_OWNER_DATABASE": scene.owner_dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def report(scene: Scene, *options: str) -> dict:
    status, out = await called(scene, *options)
    answer = msgspec.json.decode(out)
    assert (status == 0) == (answer["switched"] or "dropped" in answer), answer
    return answer


async def test_a_service_that_is_asked_and_takes_in_all_the_while_goes_on_from_the_version_that_serves(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    certificate, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    answers, over = [], asyncio.Event()

    async def ask():
        while not over.is_set():
            answers.append(await scene.service.status(town, handle))

    async def issue():
        while not over.is_set():
            town.issue()
            await relay.send()
            await relay.beat(times.now())

    async with asyncio.TaskGroup() as disturbing:
        for each in (ask(), ask(), issue()):
            disturbing.create_task(each)
        for options in ((), (), ("--rollback",), ()):
            done = await report(scene, *options)
            assert (done["switched"], done.get("differences")) == (True, None)
        over.set()
    assert set(answers) == {"valid"}
    town.revoke(certificate)
    last = town.issue()[1]
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, last)
    await seen(scene, town, handle, "not-valid")
    assert "loop_interrupted" not in scene.service.log_text()
    ((kept,),) = await scene.rows("SELECT position FROM projection_before.cursor WHERE log = $1", SHIBUYA)
    assert kept < town.size


async def test_the_command_tells_what_is_in_the_way_and_what_differs(scene):
    town, relay = scene.towns[SETAGAYA], scene.relays[SETAGAYA]
    handle = town.issue()[1]
    town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    await scene.rows("UPDATE projection.certificate SET unknown = true WHERE first_position = 1")
    status, out = await called(scene, json=False)
    assert status == 1
    assert "131121  differs from position 1 on; subjects that differ: 1, of these unknown before: 1" in out
    assert "Nothing is switched" in out
    status, out = await called(scene, "--accept-difference", json=False)
    assert status == 0
    assert "2 entries of 2 logs" in out
    await scene.rows("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await scene.rows("UPDATE mirror.entry SET data = 'junk' WHERE position = 1")
    status, out = await called(scene, json=False)
    assert status == 1
    assert "131121  position 1 is in the way" in out
    assert (await report(scene))["fault"]["position"] == 1
    assert (await report(scene, "--drop-before"))["dropped"] is True
    assert (await report(scene, "--rollback"))["refused"] == "there is no version before the one that serves"
    status, _ = await called(scene, "--rollback", "--drop-before")
    assert status == 2
    assert await scene.service.status(town, handle) == "valid"
