"""The hub process: follows, renders, runs, restarts, and leaves nothing behind."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from tests import loopback
from tests.hub.logs import NAME, ORIGIN, FederationLog, accepted, admitted, new_key, readmitted, retired, suspended
from tests.transport.hubs import eventually
from tomoni import nkey
from tomoni.processes import free_port
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError, load
from tomoni.tlog.note import generate_signer
from tomoni.transport import (
    Committed,
    Connection,
    Endpoint,
    NotConnectedError,
    Outgoing,
    events_subject,
    publish_one,
)
from tomoni.transport.subjects import node_inbox
from tomoni_federation.hub.initialise import initialise_hub
from tomoni_federation.hub.nats_server import ServerError
from tomoni_federation.hub.process import Hub
from tomoni_federation.hub.settings import HubSettings, check

CODE, OTHER = "131130", "131121"
MESSAGE = Outgoing(b"entry", {})


def settings_for(log: FederationLog, folder: Path, **options) -> HubSettings:
    file = initialise_hub(folder, federation=NAME, log_url="http://127.0.0.1:1/log", verifier_key=log.verifier.vkey)
    settings = load(HubSettings, file, environment={"TOMONI_LOG__EVERY_SECONDS": "0.05", **options})
    return check(settings)


def endpoint(hub: Hub, seed: str, code: str = CODE) -> Endpoint:
    return Endpoint(servers=(f"nats://127.0.0.1:{hub.ports.clients}",), name=code, seed=seed, inbox=node_inbox(code))


def pair() -> tuple[str, str]:
    seed = nkey.generate_seed()
    return seed, nkey.public_nkey(seed)


async def can_publish(hub: Hub, seed: str, code: str = CODE) -> bool:
    async with Connection(endpoint(hub, seed, code)) as connection:
        try:
            await connection.wait_connected(1)
        except NotConnectedError:
            return False
        return isinstance(await publish_one(connection, events_subject(code), MESSAGE, None), Committed)


async def test_a_town_is_let_in_cut_and_let_in_again_as_the_log_says(tmp_path):
    log, (seed, key), (new_seed, new) = FederationLog(), pair(), pair()
    hub = Hub(settings_for(log, tmp_path), [CODE, OTHER], log.fetch)

    async def applied(entry: bytes) -> None:
        log.entries.append(entry)
        await eventually(lambda: hub.follower.followed.size == len(log.entries))
        await eventually(lambda: hub._applied == hub.follower.followed.users)

    async with hub.running():
        assert not await can_publish(hub, seed)
        await applied(admitted(CODE, key))
        assert await can_publish(hub, seed)
        await applied(suspended(CODE))
        assert not await can_publish(hub, seed)
        await applied(readmitted(CODE, new))
        assert not await can_publish(hub, seed)
        assert await can_publish(hub, new_seed)
        await hub.require_applied()
        await hub.require_followed()
        await hub.server.require_healthy()


async def test_a_town_changes_its_key_without_a_gap_and_the_one_before_is_cut(tmp_path):
    log, (seed, key), (new_seed, new) = FederationLog(), pair(), pair()
    log.entries.append(admitted(CODE, key))
    hub = Hub(settings_for(log, tmp_path), [CODE], log.fetch)
    async with hub.running(), Connection(endpoint(hub, seed)) as relay:
        await relay.wait_connected(10)
        for entry, both in ((accepted(CODE, key, new), True), (retired(CODE, key), False)):
            log.entries.append(entry)
            await eventually(
                lambda: hub._applied == hub.follower.followed.users and len(log.entries) == hub.follower.followed.size
            )
            assert await can_publish(hub, new_seed)
            assert await can_publish(hub, seed) == both
            if both:
                assert relay.generation == 1  # nobody was cut
        await eventually(lambda: not relay.is_connected)


async def test_a_restart_without_the_federation_lets_the_same_towns_in_on_the_same_port(tmp_path):
    log, (seed, key) = FederationLog(), pair()
    log.entries.append(admitted(CODE, key))
    settings = settings_for(log, tmp_path)
    hub = Hub(settings, [CODE], log.fetch)
    async with hub.running():
        assert await can_publish(hub, seed)
    log.away = True
    again = Hub(settings, [CODE], log.fetch)
    async with again.running():
        assert again.ports.clients == hub.ports.clients
        assert await can_publish(again, seed)


async def test_a_log_that_lies_changes_nobodys_access_and_is_reported(tmp_path):
    log, (seed, key) = FederationLog(), pair()
    log.entries.append(admitted(CODE, key))
    hub = Hub(settings_for(log, tmp_path), [CODE], log.fetch)
    async with hub.running():
        log.entries = [admitted(CODE, new_key()), suspended(CODE)]
        await eventually(lambda: hub._halted)
        with pytest.raises(Exception, match="cannot be followed"):
            await hub.require_followed()
        assert await can_publish(hub, seed)


async def test_a_configuration_that_cannot_be_written_ends_nothing_and_is_written_later(tmp_path):
    log, (seed, key) = FederationLog(), pair()
    hub = Hub(settings_for(log, tmp_path), [CODE], log.fetch)
    async with hub.running():
        blocked = hub._configuration.with_name("nats-server.conf.new")
        blocked.mkdir()  # as on a full disk: the draft cannot be written
        log.entries.append(admitted(CODE, key))
        await eventually(lambda: hub.follower.followed.size == 1)
        assert not await can_publish(hub, seed)
        with pytest.raises(ServerError):
            await hub.require_applied()
        blocked.rmdir()
        await eventually(lambda: hub._applied == hub.follower.followed.users)
        assert await can_publish(hub, seed)


async def test_a_key_of_a_service_is_never_a_towns(tmp_path):
    log = FederationLog()
    settings = settings_for(log, tmp_path)
    log.entries.append(admitted(CODE, settings.keys.federation))
    hub = Hub(settings, [CODE], log.fetch)
    async with hub.running():
        assert hub.follower.followed.users == {CODE: (settings.keys.federation,)}
        await hub.server.require_healthy()


async def test_a_server_that_is_killed_is_started_again(tmp_path):
    log, (seed, key) = FederationLog(), pair()
    log.entries.append(admitted(CODE, key))
    hub = Hub(settings_for(log, tmp_path), [CODE], log.fetch)
    async with hub.running(), Connection(endpoint(hub, seed)) as connection:
        await connection.wait_connected(10)
        assert await publish_one(connection, events_subject(CODE), MESSAGE, 0) == Committed(1)
        first = hub.server.pid
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: not connection.is_connected)
        await connection.wait_connected(30)
        assert await publish_one(connection, events_subject(CODE), MESSAGE, 1) == Committed(2)
        assert hub.server.pid != first


async def test_a_lost_disk_gets_its_streams_back_empty(tmp_path):
    log, (seed, key) = FederationLog(), pair()
    log.entries.append(admitted(CODE, key))
    settings = settings_for(log, tmp_path)
    hub = Hub(settings, [CODE], log.fetch)
    async with hub.running():
        assert await can_publish(hub, seed)
        shutil.rmtree(settings.folder / "js")
        os.kill(hub.server.pid, signal.SIGKILL)

        async def empty_again() -> None:
            async with Connection(endpoint(hub, seed)) as connection:
                await connection.wait_connected(30)
                while await publish_one(connection, events_subject(CODE), MESSAGE, 0) != Committed(1):
                    await asyncio.sleep(0.1)

        await asyncio.wait_for(empty_again(), 60)


async def test_a_port_that_is_taken_is_told_plainly(tmp_path):
    log = FederationLog()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    hub = Hub(settings_for(log, tmp_path, TOMONI_NATS__PORT=str(port)), [CODE], log.fetch)
    with pytest.raises(SettingsError, match="its words are in"):
        async with hub.running():
            pass
    taken.close()


async def test_streams_with_other_limits_are_told_plainly(tmp_path):
    log = FederationLog()
    settings = settings_for(log, tmp_path)
    async with Hub(settings, [CODE], log.fetch).running():
        pass
    fewer = msgspec.structs.replace(settings.nats, messages_per_jurisdiction=5)
    other = Hub(msgspec.structs.replace(settings, nats=fewer), [CODE], log.fetch)
    with pytest.raises(SettingsError, match="max_msgs_per_subject"):
        async with other.running():
            pass
    with pytest.raises(ServerError):
        _ = other.server.pid


async def test_two_hubs_on_one_folder_are_refused(tmp_path):
    log = FederationLog()
    settings = settings_for(log, tmp_path)
    async with Hub(settings, [CODE], log.fetch).running():
        with pytest.raises(SettingsError, match="another hub"):
            async with Hub(settings, [CODE], log.fetch).running():
                pass


def test_a_token_named_by_a_short_path_is_found_from_everywhere(tmp_path, monkeypatch):
    """The hub is started by the system's supervisor, from another folder."""
    monkeypatch.chdir(tmp_path)
    key = FederationLog().verifier.vkey
    file = initialise_hub(
        tmp_path / "hub", federation=NAME, log_url="http://127.0.0.1:1/log", verifier_key=key, token_file=Path("token")
    )
    assert load(HubSettings, file).log.token_file == tmp_path / "token"


def test_a_second_init_replaces_no_keys(tmp_path):
    settings_for(FederationLog(), tmp_path)
    with pytest.raises(SettingsError, match="already"):
        settings_for(FederationLog(), tmp_path)


def test_seeds_are_readable_by_their_owner_only(tmp_path):
    settings_for(FederationLog(), tmp_path)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"TOMONI_NATS__HOST": "0.0.0.0"}, "TLS"),
        ({"TOMONI_NATS__CERTIFICATE": "/x"}, "belong together"),
        ({"TOMONI_KEYS__SYSTEM": "UX"}, "keys.system"),
        ({"TOMONI_KEYS__PROVISIONER_SEED_FILE": "/nowhere"}, "cannot be read"),
        ({"TOMONI_LOG__VERIFIER_KEY": "x"}, "no verifier key"),
        ({"TOMONI_LOG__VERIFIER_KEY": generate_signer("other/federation").verifier.vkey}, "another log"),
        ({"TOMONI_FEDERATION": "other.example"}, "another log"),
        ({"TOMONI_NATS__PROT": "1"}, "prot"),
    ],
)
def test_wrong_settings_are_refused_with_a_clear_text(tmp_path, variables, text):
    with pytest.raises(SettingsError, match=text):
        settings_for(FederationLog(), tmp_path, **variables)


async def serve_log(log: FederationLog) -> asyncio.Server:
    """Serve a log over HTTP/1.0, to those with the token."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode().removeprefix("/log/")
        allowed = b"Authorization: Bearer token" in head or b"authorization: Bearer token" in head
        body = await log.fetch(path) if allowed else b""
        writer.write(b"HTTP/1.0 %d x\r\nContent-Length: %d\r\n\r\n" % (200 if allowed else 401, len(body)) + body)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


@contextlib.asynccontextmanager
async def hub_command(folder: Path, log: FederationLog):
    server = await serve_log(log)
    port = free_port()
    write_secret(folder / "token", b"token\n")
    file = initialise_hub(
        folder,
        federation=NAME,
        log_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/log",
        verifier_key=log.verifier.vkey,
        http_port=port,
        token_file=folder / "token",
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tomoni_cli.main", "hub", "--config", str(file)), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with loopback.client(f"http://127.0.0.1:{port}") as http:
            async with asyncio.timeout(60):
                while not await answers(http):
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
            yield process, http
    finally:
        server.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health/ready")).status_code == 200
    except httpx.HTTPError:
        return False


async def test_the_command_serves_health_and_metrics_and_stops_cleanly(tmp_path):
    log = FederationLog([admitted(CODE, new_key())])
    async with hub_command(tmp_path, log) as (process, http):
        assert (await http.get("/health/live")).status_code == 200
        metrics = (await http.get("/metrics")).text
        assert "tomoni_hub_admitted 1.0" in metrics
        children = psutil.Process(process.pid).children()
        process.terminate()
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert not any(child.is_running() for child in children)
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert {"configuration_applied", "nats_server_ready"} <= {line["event"] for line in lines}
    seeds = [file.read_text().strip() for file in (tmp_path / "keys").iterdir()]
    assert not [seed for seed in seeds if seed in errors.decode()]


async def test_a_killed_hub_takes_its_server_with_it_and_starts_again(tmp_path):
    log = FederationLog([admitted(CODE, new_key())])
    async with hub_command(tmp_path, log) as (process, _):
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        await process.wait()
        await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    again = Hub(load(HubSettings, tmp_path / "hub.toml"), [CODE], log.fetch)
    async with again.running():
        await again.server.require_healthy()
    assert f"{NAME}/federation" == ORIGIN
