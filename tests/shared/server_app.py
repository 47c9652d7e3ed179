"""A small application for the server's tests, run as a process: `python server_app.py PORT MODE`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, get

from tomoni import logging, loop
from tomoni.auth import PUBLIC
from tomoni.health import health_routes
from tomoni.server import serve


@get("/slow", opt=PUBLIC)
async def slow() -> str:
    """Answer after a second."""
    await asyncio.sleep(1)
    return "finished"


async def _passes() -> None:
    await asyncio.sleep(0)


async def _fails() -> None:
    raise RuntimeError("secret detail")


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Say on standard output when the background starts and stops."""
    if sys.argv[2] == "failing-start":
        raise RuntimeError("cannot start")
    print("started", flush=True)
    yield
    print("stopped", flush=True)


def main() -> None:
    """Serve until stopped."""
    logging.configure("test")
    checks = {"good": _passes} | ({"bad": _fails} if sys.argv[2] == "not-ready" else {})
    app = Litestar([slow, *health_routes(checks)], lifespan=[lifespan], openapi_config=None)
    loop.run(serve(app, "127.0.0.1", int(sys.argv[1])))


if __name__ == "__main__":
    main()
