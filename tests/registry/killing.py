"""Work on the vault's keys in a process that is killed (SIGKILL) before a chosen step."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from tests.faults.children import context
from tomoni.database import Pool, create_pool
from tomoni_registry.vault import rotation
from tomoni_registry.vault.keyring import Keyring

ON_THE_DISK = ("fsync", "rename", "link", "unlink", "ftruncate")
IN_THE_DATABASE = ("execute", "fetch", "fetchval")


class Steps:
    """Counts the steps of this process (writes to the disk, names of files, statements) and kills it before one."""

    def __init__(self, last: int) -> None:
        self._left = last

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: object, **kwargs: object) -> Any:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            return function(*args, **kwargs)

        return step


def killed_rotating(dsn: str, folder: Path, today: date, steps: int) -> bool:
    """Rotate in another process that does so many steps, and return whether it was killed before it was done."""
    return _killed(_rotate, dsn, folder, today, steps)


def killed_destroying(dsn: str, folder: Path, today: date, steps: int) -> bool:
    """Destroy retired keys in another process that does so many steps, and return whether it was killed before."""
    return _killed(_destroy, dsn, folder, today, steps)


def _killed(work: Callable[[Pool, Keyring, date], Any], dsn: str, folder: Path, today: date, steps: int) -> bool:
    process = context.Process(target=_run, args=(work, dsn, folder, today, steps))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _run(work: Callable[[Pool, Keyring, date], Any], dsn: str, folder: Path, today: date, steps: int) -> None:
    count = Steps(steps)
    for name in ON_THE_DISK:
        setattr(os, name, count.before(getattr(os, name)))
    for name in IN_THE_DATABASE:
        setattr(asyncpg.Connection, name, count.before(getattr(asyncpg.Connection, name)))
    rotation.BATCH = 3  # pyright: ignore[reportAttributeAccessIssue]  # several transactions for a few certificates
    asyncio.run(_work(work, dsn, folder, today))


async def _work(work: Callable[[Pool, Keyring, date], Any], dsn: str, folder: Path, today: date) -> None:
    pool = await create_pool(dsn)
    await work(pool, Keyring(folder), today)
    await pool.close()


async def _rotate(pool: Pool, keyring: Keyring, today: date) -> None:
    await rotation.rotate(pool, keyring, today, lambda _, __: None)


async def _destroy(pool: Pool, keyring: Keyring, today: date) -> None:
    await rotation.destroy_retired(pool, keyring, today, 1)
