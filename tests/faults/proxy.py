"""A TCP proxy that breaks connections on purpose, for any client and server on this machine.

The faults are those of Sunlight's tests, at the boundary of the connection: what a client sends is *lost*, or it
arrives and is *unreported*; and each is either loud (the connection is reset) or silent (a black hole).
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self


class Fault(Enum):
    """What happens to the chunk that a fault hits, and to its connection from then on."""

    LOST = "reset before the server has it"
    UNREPORTED = "reset when the server answers it"
    LOST_SILENTLY = "swallowed, with all that follows"
    UNREPORTED_SILENTLY = "its answer swallowed, with all that follows"


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answer_lost: Fault | None = None
    silent: bool = False


class FaultProxy:
    """Forwards connections from a port of its own to a server's; an asynchronous context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._armed: tuple[Fault, int] | None = None
        self._listener: asyncio.Server | None = None
        self._black_hole = False
        self.port = 0
        """Where clients connect."""
        self.latency = 0.0
        """Seconds by which every chunk is late, in either direction."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.cut_after: int | None = None
        """Bytes from a client, counted over all connections, after which that connection is reset."""
        self.hits = 0
        """How often an armed fault has struck."""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.reset()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listener.wait_closed()

    def arm(self, fault: Fault, after: int = 0) -> None:
        """Let a fault hit the next chunk that any client sends, or the one that comes `after` so many others."""
        self._armed = (fault, after)

    def reset(self) -> None:
        """Reset every open connection."""
        for pair in list(self._pairs):
            cut(pair.client)
            cut(pair.server)

    def black_hole(self) -> None:
        """Swallow everything in both directions, on old connections and on new ones, and close none."""
        self._black_hole = True

    def restore(self) -> None:
        """End the black hole for new connections; the old ones have lost bytes and are reset."""
        self._black_hole = False
        self.reset()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._accept(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            cut(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            cut(writer)
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._from_client(pair, reader), self._from_server(pair, server_reader))
        finally:
            self._pairs.discard(pair)
            cut(writer)
            cut(server_writer)

    async def _from_client(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                await asyncio.sleep(self.latency)
                if self._is_silent(pair) or not self._strike(pair, chunk):
                    continue
                pair.server.write(chunk)
                await pair.server.drain()
        if not self._is_silent(pair):
            pair.server.close()

    def _strike(self, pair: _Pair, chunk: bytes) -> bool:
        """Let an armed fault strike, and tell whether the chunk goes on to the server."""
        if self.cut_after is not None:
            self.cut_after -= len(chunk)
            if self.cut_after <= 0:
                self.cut_after = None
                cut(pair.client)
                cut(pair.server)
                return False
        if self._armed is None:
            return True
        fault, after = self._armed
        if after > 0:
            self._armed = (fault, after - 1)
            return True
        self._armed = None
        self.hits += 1
        match fault:
            case Fault.LOST:
                cut(pair.client)
                cut(pair.server)
                return False
            case Fault.LOST_SILENTLY:
                pair.silent = True
                return False
            case _:
                pair.answer_lost = fault
                return True

    async def _from_server(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                await asyncio.sleep(self.latency)
                if pair.answer_lost is Fault.UNREPORTED:
                    break
                if pair.answer_lost is Fault.UNREPORTED_SILENTLY:
                    pair.silent = True
                if self._is_silent(pair):
                    continue
                pair.client.write(chunk)
                await pair.client.drain()
        if not self._is_silent(pair):
            cut(pair.client)

    def _is_silent(self, pair: _Pair) -> bool:
        return pair.silent or self._black_hole


def cut(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST, as a dying machine's network does, instead of a polite FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError, ValueError):  # it may be closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
