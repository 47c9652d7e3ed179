"""Serving an application: granian inside our own event loop, drained on SIGTERM and SIGINT.

The application's lifespan is entered by us and not by the server, so that a failing start is an exception of this
process, and so that background tasks stop after the last answer was sent.
"""

import asyncio
import signal
import socket
from contextlib import suppress

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar import Litestar

from tomoni.loop import calm_collector
from tomoni.processes import allow_connections, leave_no_core

log = structlog.get_logger()

DRAIN_SECONDS = 20
"""How long requests under way may take after a stop was asked for."""

CONNECTIONS = 8_192
"""Connections at once; more have to wait. A thousand followers of watches hold one each, and whoever begins a request
and does not go on is cut off only after half a minute: with the server's own 1,024 nobody else would get in."""

END_STREAMS = "end_streams"
"""The name in an application's state of a function that ends answers which would go on for ever."""


async def serve(app: Litestar, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, let the requests under way finish, then leave the application's lifespan.

    Raises OSError where the port is taken, and whatever the application's start raises.
    """
    _require_free(host, port)
    calm_collector()
    leave_no_core()
    allow_connections(CONNECTIONS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with app.lifespan():
            await _serve_until(stop, app, host, port)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _serve_until(stop: asyncio.Event, app: Litestar, host: str, port: int) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(keep_alive=True),
        websockets=False,
        log_enabled=False,
        backlog=1024,
        backpressure=CONNECTIONS,
    )
    server.workers_kill_timeout = DRAIN_SECONDS
    serving = asyncio.create_task(server.serve(), name="http")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    log.info("serving", address=host, port=port)
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    log.info("draining", port=port)
    if (end_streams := app.state.get(END_STREAMS)) is not None:
        end_streams()
    server.stop()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await stopping
    # The server itself would wait for ever for a client that takes nothing of what is sent to it.
    done, _ = await asyncio.wait({serving}, timeout=DRAIN_SECONDS)
    if not done:
        log.warning("drain_cut_short", port=port)
        serving.cancel()
        return
    await serving


def _require_free(host: str, port: int) -> None:
    """Raise OSError where another process listens already; granian would share the port with it in silence."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
