"""An acknowledgement means that the disk has it."""

import asyncio
import re
import shutil
from pathlib import Path

from tests.transport.hubs import SHIBUYA, entries, node
from tomoni.transport import Committed, Connection, events_subject, publish_batch

SUBJECT = events_subject(SHIBUYA)


async def test_every_acknowledgement_comes_after_a_sync(hub, tmp_path):
    assert "sync_interval: always" in hub.configuration.read_text()
    if shutil.which("strace") is None:
        return  # the configuration is what this machine can show
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(hub.server.pid)]
    strace = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with node(hub) as connection:
            sequence = 0
            while strace.returncode is None and not syncs(trace):  # strace needs a moment to attach
                sequence = await publish(connection, sequence, 1)
            if strace.returncode is not None:
                return  # tracing is forbidden here
            before = syncs(trace)
            for _ in range(20):
                sequence = await publish(connection, sequence, 1)
            single = syncs(trace) - before
            await publish(connection, sequence, 500)
            batch = syncs(trace) - before - single
    finally:
        if strace.returncode is None:
            strace.terminate()
        await strace.wait()
    assert single >= 20
    assert 1 <= batch < 100


async def publish(connection: Connection, last: int, count: int) -> int:
    outcome = await publish_batch(connection, SUBJECT, entries(0, count), last)
    assert isinstance(outcome, Committed)
    return outcome.sequence


def syncs(trace: Path) -> int:
    return len(re.findall(r"(?:fsync|fdatasync)\(", trace.read_text())) if trace.exists() else 0
