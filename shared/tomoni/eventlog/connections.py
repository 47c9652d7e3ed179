"""Connections that break: how to tell, and how to part with them without a word over a line nobody may answer."""

import contextlib

import asyncpg

from tomoni.database import Pool, PoolConnection

LOST = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server shuts down, starts up or crashed
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the driver, when a connection breaks while it is given back
)
"""Errors that are never a statement's own: the same statement may do on a new connection, or later."""

BROKEN = (*LOST, asyncpg.InterfaceError)
"""The same where the statements are known to be right, so that the driver's complaint is about the connection."""

UNWRITABLE = (
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a database that is set to read only
    asyncpg.InsufficientResourcesError,  # a full disk, no memory
    asyncpg.PostgresIOError,
)
"""Errors of a server that answers and cannot write: nothing is wrong with the statement, and it changed nothing."""

AWAY = (*BROKEN, *UNWRITABLE)
"""Errors of a database that must be waited for, whatever it lacks."""


def is_closed(connection: PoolConnection) -> bool:
    """Tell whether a connection is closed; one that broke has gone back to its pool by itself."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def part_with(pool: Pool, connection: PoolConnection) -> None:
    """Close a connection at once and give its place back: a polite goodbye over a dead line could hang."""
    with contextlib.suppress(*BROKEN):
        connection.terminate()
        await pool.release(connection, timeout=1)
