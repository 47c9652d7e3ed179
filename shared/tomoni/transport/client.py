# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# nats-py leaves its callbacks and its transport untyped.
"""nats-py's client with what it lacks: it insists on TLS, leaves when it is told, and is closed without waiting."""

import asyncio
import random
from collections.abc import Mapping
from typing import Final

import nats.errors
from nats.aio.client import Client, Server

ABORT_SECONDS: Final = 2.0
"""How long a connection that is lost or left may take to end by itself."""
_RECONNECT_SECONDS: Final = 1.0


class NatsClient(Client):
    """nats-py's client, which does not go on without TLS, and parses headers without looking at each character.

    It also leaves when it is told. Where a cancellation meets the end of an attempt to connect, `asyncio.wait_for` of
    Python 3.11 swallows it: nats-py would then go on reconnecting for ever, though it was closed.
    """

    disposed = False

    def next_server(self, servers: list[Server], _: Mapping[str, object]) -> tuple[Server, float]:
        """Take any server after a second or so: thousands of nodes must not come back in one instant."""
        self._leave_when_told()
        return random.choice(servers), jittered()  # noqa: S311  # spread, not secrecy

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        self._leave_when_told()

    def _leave_when_told(self) -> None:
        task = asyncio.current_task()
        if self.disposed or (task is not None and task.cancelling()):
            abort(writer_of(self))
            raise asyncio.CancelledError

    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None:
        """Refuse a server that says it has no TLS where we have: nats-py would go on in the clear.

        The first words of a connection are not encrypted, so anybody on the way could say so.
        """
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise nats.errors.SecureConnRequiredError
        await super()._process_info(info, initial_connection)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in bytes(raw).split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if colon:
                headers[name.strip().decode("ascii", "replace")] = value.strip().decode("utf-8", "replace")
        return headers


def jittered() -> float:
    """Return how many seconds to wait before an attempt to connect."""
    return _RECONNECT_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  # spread, not secrecy


def writer_of(client: Client) -> asyncio.StreamWriter | None:
    """Return what a client writes to: a new one for each attempt to connect."""
    writer: asyncio.StreamWriter | None = getattr(client._transport, "_io_writer", None)
    return writer


def abort(writer: asyncio.StreamWriter | None) -> None:
    """Cut a connection off at once: a polite end would wait for a peer that may never read again."""
    if writer is not None:
        writer.transport.abort()


async def dispose(client: NatsClient) -> None:
    """Close a client for good, without waiting for a peer that may never read again.

    In a task of its own: where nats-py's reconnecting task was cancelled while it waited for the old transport's end,
    whoever else waits for that is cancelled with it.
    """
    client.disposed, client._closed_cb = True, None
    if not client.is_connected:
        abort(writer_of(client))
    closing = asyncio.create_task(client.close(), name="close")
    closing.add_done_callback(_see_error)
    try:
        await asyncio.wait({closing}, timeout=ABORT_SECONDS)
    finally:
        closing.cancel()
        abort(writer_of(client))


def _see_error(closing: asyncio.Task[None]) -> None:
    """Mark an error as seen: the client is not used again, whatever it says at its end."""
    if not closing.cancelled():
        closing.exception()
