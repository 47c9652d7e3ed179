"""Health and metrics: routes that test the function, not the port."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tomoni.auth import PUBLIC

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
"""Does what the service is for, once, and raises where it cannot."""

CHECK_SECONDS = 5.0


def health_routes(ready: Mapping[str, Check]) -> list[HTTPRouteHandler]:
    """Return `/health/live`, `/health/ready` (every check must pass within 5 s) and `/metrics`."""

    @get("/health/live", tags=["operations"], sync_to_thread=False, opt=PUBLIC)
    def live() -> dict[str, str]:
        """Answer while the process runs its loop."""
        return {"status": "live"}

    checking = _Checking(ready)

    @get("/health/ready", tags=["operations"], opt=PUBLIC)
    async def is_ready() -> Response[dict[str, str]]:
        """Answer 200 when every function of the service works, else 503 with the names of those that do not."""
        results = await checking.results()
        states = {name: "ok" if passed else "failing" for name, passed in results.items()}
        return Response(states, status_code=200 if all(results.values()) else 503, media_type=MediaType.JSON)

    @get("/metrics", tags=["operations"], sync_to_thread=False, opt=PUBLIC)
    def metrics() -> Response[bytes]:
        """Return this process's metrics in Prometheus' text format."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [live, is_ready, metrics]


class _Checking:
    """Runs the checks, once for all who ask meanwhile.

    Anybody may ask, and the checks write and prove: asking would be a cheap way to take all connections to a database.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._running: asyncio.Task[dict[str, bool]] | None = None

    async def results(self) -> dict[str, bool]:
        """Return for each check whether it passed."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="health")
        return await asyncio.shield(self._running)  # one who goes away takes it from nobody else

    async def _run(self) -> dict[str, bool]:
        results = await asyncio.gather(*(_passes(name, check) for name, check in self._checks.items()))
        return dict(zip(self._checks, results, strict=True))


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:  # whatever a check raises, the answer is: not ready
        log.warning("not_ready", kind=name, error=type(error).__name__)
        return False
    return True
