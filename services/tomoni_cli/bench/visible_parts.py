"""The relay and the federation of the row `commit to visible`, each in a process of its own as in a real installation.

Run as `python -m tomoni_cli.bench.visible_parts relay|federation <file>`; the parent starts and ends them. The
federation writes a line whenever entries became visible: how many, and when by the machine's monotonic clock.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from tomoni import logging, loop
from tomoni.database import create_pool
from tomoni.eventlog import Sequencer
from tomoni.processes import die_with_parent
from tomoni.tlog.cosignature import Cosigner
from tomoni.transport import Connection, Endpoint
from tomoni.transport.subjects import FEDERATION_INBOX
from tomoni_cli.bench.samples import FEDERATION
from tomoni_federation.admissions.office import Office
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.intake.work import Work
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.projections.project import Projector
from tomoni_registry.relay.process import Relay
from tomoni_registry.relay.settings import HubConnection, RelaySettings, hub_endpoint

CODE: Final = "131130"
Part = Literal["relay", "federation"]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What both processes need: connection strings of the databases, the hub's address, seeds and the receipts' key."""

    town: str
    federation: str
    hub: str
    node_seed: str
    federation_seed: str
    receipts_key: str


class Step(msgspec.Struct, frozen=True):
    """So many entries became visible, at a time of `time.perf_counter()`, which processes of a machine share."""

    count: int
    at: float


def read_step(line: bytes) -> Step:
    """Return the step of a line that the federation wrote."""
    return msgspec.json.decode(line, type=Step)


@asynccontextmanager
async def running(part: Part, folder: Path, parts: Parts) -> AsyncGenerator[asyncio.StreamReader]:
    """Run one of the processes and give its output; end it afterwards."""
    file = folder / f"{part}.json"
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(parts))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tomoni_cli.bench.visible_parts", part, str(file)),
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    if child.stdout is None:
        raise RuntimeError("the benchmark's process has no output")
    try:
        await child.stdout.readuntil()  # it is up
        yield child.stdout
    finally:
        child.terminate()
        await child.wait()


async def _relay(parts: Parts, folder: Path) -> None:
    seed = folder / "node.nk"
    seed.touch(mode=0o600)
    seed.write_text(parts.node_seed)
    settings = RelaySettings(
        federation=FEDERATION,
        code=CODE,
        database=parts.town,
        hub=HubConnection(servers=(parts.hub,), seed_file=seed),
        receipt_key=Cosigner.parse(parts.receipts_key).verifier.vkey,
    )
    pool = await create_pool(settings.database, max_size=4)
    async with Connection(hub_endpoint(settings)) as connection:
        write_step(Step(0, time.perf_counter()))
        await Relay(settings, pool, connection).run()


class _Watched(Projector):
    """A projector that tells when entries became visible: when its transaction was committed."""

    async def step(self) -> int:
        """Project, and tell how many entries that were."""
        count = await super().step()
        if count:
            write_step(Step(count, time.perf_counter()))
        return count


async def _federation(parts: Parts) -> None:
    pool = await create_pool(parts.federation)
    endpoint = Endpoint(servers=(parts.hub,), name="federation", seed=parts.federation_seed, inbox=FEDERATION_INBOX)
    receiver = Receiver(pool, FEDERATION, Cosigner.parse(parts.receipts_key))
    async with Connection(endpoint) as connection, Sequencer(pool) as sequencer:
        write_step(Step(0, time.perf_counter()))
        office = Office(pool, sequencer, FEDERATION)
        scrubber = Scrubber(pool, FEDERATION)
        await Work(pool, connection, receiver, _Watched(pool, FEDERATION), office, scrubber=scrubber).run()


def write_step(step: Step) -> None:
    """Write a line for the process that started this one."""
    sys.stdout.buffer.write(msgspec.json.encode(step) + b"\n")
    sys.stdout.buffer.flush()


def main(part: str, file: Path) -> None:
    """Run until the parent ends it."""
    logging.configure("bench", "WARNING")
    parts = msgspec.json.decode(file.read_bytes(), type=Parts)
    loop.run(_relay(parts, file.parent) if part == "relay" else _federation(parts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
