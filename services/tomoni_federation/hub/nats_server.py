"""The nats-server as a child: started, reloaded, restarted when it dies, and gone when its parent is gone."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import structlog

from tomoni.loopback import NOBODY
from tomoni.processes import die_with_parent

log = structlog.get_logger()

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_RESTART_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
_STUCK: Final = (b"write error", b"JetStream not enabled")
"""What `/healthz` says of a server that met an error of its disk: one stream or all are closed until it ends."""
ROOM_BYTES: Final = 16 * 2**20
"""What must be free before a server that met a full disk is started again: it opens new files of some megabytes."""


class ServerError(Exception):
    """The nats-server refuses its configuration or does not start."""


class _Led(msgspec.Struct):
    leader: str = ""


class _Consumer(msgspec.Struct):
    cluster: _Led | None = None


class _Stream(msgspec.Struct):
    cluster: _Led | None = None
    consumer_detail: list[_Consumer] = []


class _Account(msgspec.Struct):
    stream_detail: list[_Stream] = []


class _Jsz(msgspec.Struct):
    meta_cluster: _Led | None = None
    account_details: list[_Account] = []

    def led(self) -> Iterator[_Led | None]:
        """Yield all that a cluster's servers elect a leader for."""
        yield self.meta_cluster
        for account in self.account_details:
            for stream in account.stream_detail:
                yield stream.cluster
                yield from (consumer.cluster for consumer in stream.consumer_detail)


class _Varz(msgspec.Struct):
    config_digest: str = ""


class NatsServer:
    """One nats-server with one configuration file. `monitor_port` is its monitoring port on loopback.

    One of a cluster is ready before its streams are: those need a majority, and others may start later or be lost.
    """

    def __init__(
        self, binary: Path, configuration: Path, log_file: Path, monitor_port: int, *, clustered: bool = False
    ) -> None:
        self._binary = binary
        self._configuration = configuration
        self._log_file = log_file
        self._monitor = f"http://127.0.0.1:{monitor_port}"
        self._clustered = clustered
        self._ready = f"{self._monitor}/healthz{'?js-enabled-only=true' if clustered else ''}"
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(timeout=2, trust_env=False, verify=NOBODY)

    @property
    def pid(self) -> int:
        """The child's process id; raise ServerError where none runs."""
        if self._process is None or self._process.returncode is not None:
            raise ServerError("the nats-server does not run")
        return self._process.pid

    async def start(self) -> None:
        """Start the server and return when its streams are recovered; raise ServerError where it does not come up."""
        digest = await self.check()
        self._process = await asyncio.create_subprocess_exec(
            str(self._binary),
            "-c",
            str(self._configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
            start_new_session=True,  # a terminal's Ctrl-C is for us; we stop the server when we have drained
            env={"PATH": os.environ.get("PATH", "")},
        )
        try:
            await self._wait_for(digest)
        except ServerError:
            await self.stop()
            raise
        log.info("nats_server_ready", pid=self._process.pid)

    async def check(self) -> str:
        """Return the digest of the configuration file; raise ServerError where the server would refuse it."""
        process = await asyncio.create_subprocess_exec(
            str(self._binary),
            "-t",
            "-c",
            str(self._configuration),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        text = output.decode("utf-8", "replace").strip()
        if process.returncode != 0:
            raise ServerError(f"the nats-server refuses its configuration: {text}")
        return text.rpartition("(")[2].rstrip(")")

    async def reload(self) -> None:
        """Make the running server take its configuration file again; raise ServerError where it does not."""
        digest = await self.check()
        os.kill(self.pid, signal.SIGHUP)
        await self._wait_for(digest)

    async def stop(self) -> None:
        """Stop the server cleanly, or by force where it does not answer."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                log.warning("nats_server_killed", pid=process.pid)
                process.kill()
                await process.wait()
        self._process = None

    async def supervise(self, restarted: Callable[[], Awaitable[None]]) -> None:
        """Start the server again whenever it ends by itself, for ever; `restarted` is awaited afterwards."""
        while True:
            process = self._process
            if process is not None:
                status = await process.wait()
                log.error("nats_server_died", status=status)
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                await self.start()
            except ServerError as error:
                log.error("nats_server_not_restarted", error=type(error).__name__)
            else:
                await restarted()

    async def end_when_stuck(self) -> None:
        """End a server that met a full disk, or one that it may not write to, once there is room; look for ever.

        It refuses every message from then on, whatever room there is. `supervise` starts it again.
        """
        seen = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            seen = seen + 1 if await self._is_stuck() else 0
            if seen > 1 and shutil.disk_usage(self._configuration.parent).free > ROOM_BYTES:  # one may just have begun
                seen = 0
                log.error("nats_server_stuck")
                with contextlib.suppress(ProcessLookupError, ServerError):
                    os.kill(self.pid, signal.SIGTERM)

    async def _is_stuck(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._http.get(f"{self._monitor}/healthz")
            return answer.status_code != 200 and any(words in answer.content for words in _STUCK)
        return False

    async def require_healthy(self) -> None:
        """Raise ServerError unless every stream and consumer works, in a cluster with a leader each."""
        _ = self.pid
        try:
            answer = await self._http.get(f"{self._monitor}/healthz")
        except httpx.HTTPError as error:
            raise ServerError("the nats-server does not answer") from error
        if answer.status_code != 200:
            raise ServerError("the nats-server is not healthy")
        if self._clustered:
            await self._require_leaders()

    async def _require_leaders(self) -> None:
        """Raise ServerError unless JetStream, its streams and their consumers have leaders, as this server knows."""
        try:
            answer = await self._http.get(f"{self._monitor}/jsz?accounts=true&streams=true&consumers=true")
            led = list(msgspec.json.decode(answer.content, type=_Jsz).led())
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise ServerError("the nats-server does not answer") from error
        if not all(one is not None and one.leader for one in led):
            raise ServerError("the servers of the cluster have no leader for all that they hold")

    async def close(self) -> None:
        """Stop the server and let go of what was opened to watch it."""
        await self.stop()
        await self._http.aclose()

    async def _wait_for(self, digest: str) -> None:
        """Return when the server is healthy with the configuration of this digest; raise ServerError where not."""
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if self._process is None or self._process.returncode is not None:
                raise ServerError(f"the nats-server does not start; its words are in {self._log_file}")
            if await self._runs(digest):
                return
            await asyncio.sleep(0.02)
        raise ServerError(f"the nats-server did not take its configuration within {READY_SECONDS:.0f} s")

    async def _runs(self, digest: str) -> bool:
        with contextlib.suppress(httpx.HTTPError, msgspec.MsgspecError):
            varz = await self._http.get(f"{self._monitor}/varz")
            if msgspec.json.decode(varz.content, type=_Varz).config_digest != digest:
                return False
            return (await self._http.get(self._ready)).status_code == 200
        return False
