"""The disk under the last word fails, or the process is killed in the middle: nothing is released that is not on it.

The kernel itself refuses the calls, or kills at them; what it was asked to do before is done.
"""

import asyncio
import errno
import functools
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import kernel, lives
from tests.faults.at_node import Publishing
from tests.faults.children import Child
from tests.faults.steps import Steps
from tomoni.database import Pool
from tomoni.eventlog import CheckpointStore, LastWord, Sequencer
from tomoni.eventlog.lastword import PLACE_BYTES
from tomoni_cli.embedded.postgres import EmbeddedDatabase

FIRST, LATER = ("fallocate", "fsync"), ("flock", "pwrite64", "fdatasync")
"""The calls of the first word alone, and of each."""


@pytest.fixture
def publishing(
    steps: Steps, log_database: EmbeddedDatabase, log_pool: Pool, sequencer: Sequencer, tmp_path: Path
) -> Publishing:
    return Publishing(steps, log_pool, sequencer, log_database.runner_dsn, tmp_path / "last-word")


def refusing(call: str, error: int) -> None:
    """Let the kernel refuse a call to the threads that carry out what would block, from now on."""
    initializer = functools.partial(kernel.refuse, call, error)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(initializer=initializer))


def mended() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


@pytest.mark.parametrize("call", [*FIRST, *LATER])
async def test_nothing_is_released_before_the_last_word_is_known_to_be_on_the_disk(
    log_pool: Pool, publishing: Publishing, call: str
) -> None:
    if call in LATER:
        await (await publishing.prepare_once())()
    before = await CheckpointStore(log_pool).latest()
    work = await publishing.prepare_once()
    for _ in range(2):  # the second time a word may be there that nobody knows to be on the disk
        refusing(call, errno.ENOSPC if call == "pwrite64" else errno.EIO)
        with pytest.raises(OSError, match=r"\[Errno (5|28)\]"):
            await work()
        await publishing.check()
        assert await CheckpointStore(log_pool).latest() == before
    mended()
    await publishing.verify(await work())


@pytest.mark.parametrize("call", [*FIRST, *LATER])
async def test_a_node_killed_while_it_writes_its_last_word_goes_on_and_brings_it_to_the_disk(
    log_pool: Pool, publishing: Publishing, call: str
) -> None:
    if call in LATER:
        await (await publishing.prepare_once())()
    before = await CheckpointStore(log_pool).latest()
    work = await publishing.prepare_once()
    assert await Child(functools.partial(lives.killed_at, call, work)).ended()
    await publishing.check()
    assert await CheckpointStore(log_pool).latest() == before
    refusing("fsync" if call in FIRST else "fdatasync", errno.EIO)
    with pytest.raises(OSError, match="Errno 5"):
        await work()
    assert await CheckpointStore(log_pool).latest() == before
    mended()
    await publishing.verify(await work())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: what reaches beyond is written in part, as on a disk with so much room."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_word_that_is_written_in_part_is_reported_and_the_one_before_stands(tmp_path: Path) -> None:
    word = LastWord(tmp_path / "last-word")
    word.swap(None, b"first")
    word.swap(b"first", b"second")
    with largest_file(PLACE_BYTES + 40), pytest.raises(OSError, match="part"):
        word.swap(b"second", b"third")
    assert word.read() == b"second"
    word.swap(b"second", b"third")
    assert word.read() == b"third"
