"""A writer process for the contract suite: appends commands for ever and prints those that were acknowledged.

`python -m tests.eventlog.writer <dsn> <name> <callers> [<count>]`
"""

import asyncio
import sys
import uuid

from tests.eventlog.making import beside, command
from tomoni.database import create_pool
from tomoni.eventlog import Sequencer
from tomoni.eventlog.errors import VersionConflict
from tomoni.logging import configure


async def write(dsn: str, name: str, callers: int, count: int) -> None:
    pool = await create_pool(dsn, max_size=2)
    async with Sequencer(pool) as sequencer:

        async def call(caller: int) -> None:
            for n in range(count):
                command_id = uuid.uuid4()
                companions = [beside(command_id, name)] if n % 3 == 0 else []
                own = command(f"{name}/{caller}/{n}", companions=companions, command_id=command_id, data=name.encode())
                appended = await sequencer.append(own)
                print(command_id, appended.first, flush=True)
                try:  # every writer wants the same stream
                    await sequencer.append(command("contended", n + 1, data=name.encode()))
                except VersionConflict:
                    continue

        await asyncio.gather(*map(call, range(callers)))
    await pool.close()


if __name__ == "__main__":
    configure("writer")  # logs go to standard error, acknowledgements to standard output
    given = sys.argv[1:]
    asyncio.run(write(given[0], given[1], int(given[2]), int(given[3]) if len(given) > 3 else 10**9))
