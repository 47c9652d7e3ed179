"""Rebuilding: make, fill, compare and exchange, each of which can be killed and goes on when it is called again."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import asyncpg

from tomoni.addresses import require_private_database
from tomoni.database import Connection, unusable
from tomoni.eventlog.connections import BROKEN
from tomoni.settings import SettingsError
from tomoni_federation.rebuild import versions
from tomoni_federation.rebuild.comparing import Difference, cursor_differences, differences
from tomoni_federation.rebuild.filling import WORKERS, Extent, advance, extent, fill, retry_halted

BUDGET: Final = 10_000
"""Entries in one transaction."""
TAIL: Final = 1_000
"""Entries that may be folded while everybody waits for the switch; what is more is folded before."""
ATTEMPTS: Final = 100
"""Times that a switch asks for its locks."""

_ALONE: Final = "SELECT pg_advisory_lock(hashtext('tomoni.rebuild'))"
_UNSETTLE: Final = "UPDATE watch.issuer SET view = NULL, settled = false WHERE log = ANY ($1::text[])"
"""Have the documents of some issuers looked at again: their answers may be others now."""

_SETTINGS: Final = {"application_name": "tomoni rebuild", "lock_timeout": "30s", "timezone": "UTC"}

OnProgress = Callable[[str, int, int], None]
"""Takes what is being done, how many entries are done, and of how many."""


class RebuildRefusedError(Exception):
    """Nothing was switched; the text says why, and what can be done."""


class Rebuilt(NamedTuple):
    """What a rebuild has come to: switched, or not because of differences; how much the version holds."""

    switched: bool
    resumed: bool
    extent: Extent
    differences: list[Difference]


def _quiet(doing: str, done: int, total: int) -> None:
    del doing, done, total


async def rebuild(
    owner_dsn: str,
    federation: str,
    *,
    accept_difference: bool = False,
    budget: int = BUDGET,
    on_progress: OnProgress = _quiet,
) -> Rebuilt:
    """Make the read model anew from the mirror and let it serve, if it is equal to the one that serves.

    Where it differs, nothing is switched unless `accept_difference`; what was made stays for the next call. Raises
    RebuildFaultError for an entry on which it cannot be made, RebuildRefusedError where the database does not let it.
    """
    async with _connected(owner_dsn) as connections:
        resumed = await versions.make_next(connections[0])
        candidate = _Candidate(connections, versions.NEXT, federation, budget, on_progress)
        await candidate.fill()
        found = await candidate.compare()
        if accept_difference or not found:
            await candidate.switch(found)
        return Rebuilt(accept_difference or not found, resumed, candidate.extent, found)


async def roll_back(
    owner_dsn: str, federation: str, *, budget: int = BUDGET, on_progress: OnProgress = _quiet
) -> Rebuilt:
    """Let the version before the one that serves serve again, brought up to date; they change places.

    Raises RebuildFaultError, and RebuildRefusedError where there is none or its tables are of another layout.
    """
    async with _connected(owner_dsn) as connections:
        if not await versions.exists(connections[0], versions.BEFORE):
            raise RebuildRefusedError("there is no version before the one that serves")
        if not await versions.fits(connections[0], versions.BEFORE):
            raise RebuildRefusedError("the version before has another layout than this software needs")
        candidate = _Candidate(connections, versions.BEFORE, federation, budget, on_progress)
        await candidate.fill()
        found = await candidate.compare()
        await candidate.switch(found)
        return Rebuilt(switched=True, resumed=False, extent=candidate.extent, differences=found)


async def drop_before(owner_dsn: str) -> bool:
    """Remove the version that is kept for a rollback; return whether there was one."""
    async with _connected(owner_dsn) as (connection, *_):
        found = await versions.exists(connection, versions.BEFORE)
        await versions.drop(connection, versions.BEFORE)
    return found


class _Candidate:
    """A version that is to serve."""

    def __init__(
        self, connections: Sequence[Connection], version: str, federation: str, budget: int, on_progress: OnProgress
    ) -> None:
        self._connections = connections
        self._connection = connections[0]
        self._version = version
        self._federation = federation
        self._budget = budget
        self._on_progress = on_progress
        self.extent = Extent(0, 0)

    async def fill(self) -> None:
        """Fill it as far as the serving one is, again and again until hardly anything comes meanwhile."""
        await retry_halted(self._connection, self._version)
        await self._fill()
        for table in versions.TABLES:  # the services' plans need to know from the first moment how large it is
            await self._connection.execute(f"ANALYZE {self._version}.{table}")

    async def _fill(self) -> None:
        def show(done: int, total: int) -> None:
            self._on_progress("reading the mirror", done, total)

        while True:
            await versions.ensure_cursors(self._connection, self._version)
            count = await fill(self._connections, self._version, self._federation, self._budget, show)
            self.extent = await extent(self._connection, self._version)
            if count < TAIL:
                return

    async def compare(self) -> list[Difference]:
        """Return how it differs from the serving one, in one snapshot of both and after as many entries."""
        while True:
            self._on_progress("comparing", 0, self.extent.entries)
            try:
                async with self._connection.transaction(isolation="repeatable_read"):
                    await self._advance()
                    return await differences(self._connection, self._version)
            except asyncpg.SerializationError:
                await self._fill()  # a history was taken back meanwhile, in both

    async def switch(self, known: Sequence[Difference]) -> None:
        """Let it serve, in one transaction, after what came meanwhile; `known` differences were accepted.

        Raises RebuildRefusedError where it stands elsewhere than the serving one in a log about which nothing is
        known, and where the locks are not to be had.
        """
        self._on_progress("switching", self.extent.entries, self.extent.entries)
        for _ in range(ATTEMPTS):
            try:
                async with self._connection.transaction():
                    await self._exchange(known)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(random.uniform(0.05, 0.5))  # noqa: S311  # so that it does not meet the same again
                await self._fill()
            else:
                return
        raise RebuildRefusedError("the services do not let go of the tables; nothing was switched, try again")

    async def _exchange(self, known: Sequence[Difference]) -> None:
        await versions.lock(self._connection, self._version)
        await self._advance()
        logs = {difference.log for difference in known}
        late = [found for found in await cursor_differences(self._connection, self._version) if found.log not in logs]
        if late:
            raise RebuildRefusedError(
                f"{late[0].log} came to differ at position {late[0].position} meanwhile; try again"
            )
        await self._connection.execute(_UNSETTLE, sorted(logs))
        await versions.exchange(self._connection, self._version)

    async def _advance(self) -> None:
        """Fold what is left, of towns admitted meanwhile too, within the caller's transaction."""
        await versions.ensure_cursors(self._connection, self._version)
        while await advance(self._connection, self._version, self._federation, None, self._budget, new_too=True):
            pass


@asynccontextmanager
async def _connected(owner_dsn: str) -> AsyncGenerator[list[Connection]]:
    """Give connections of the owner, of which the first holds a lock: one rebuild at a time in a database.

    Raises SettingsError where the database cannot be used, or is lost on the way: nobody then knows whether the last
    step was done, and calling again does what is left.
    """
    require_private_database(owner_dsn)
    async with AsyncExitStack() as stack:
        connections: list[Connection] = []
        try:
            for _ in range(WORKERS):
                connection = await asyncpg.connect(owner_dsn, server_settings=_SETTINGS)
                stack.push_async_callback(connection.close)
                connections.append(connection)
            await connections[0].execute(_ALONE)
        except asyncpg.LockNotAvailableError:
            raise RebuildRefusedError("another rebuild is running") from None
        except (OSError, asyncpg.PostgresError) as error:
            raise unusable(error, "its owner's string") from error
        try:
            yield connections
        except BROKEN as error:
            text = "the connection to the database was lost; what is done stays, call it again"
            raise SettingsError(f"{text} ({type(error).__name__})") from error
