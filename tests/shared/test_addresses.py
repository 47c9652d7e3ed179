"""Nothing secret goes where others could read along: which addresses are taken, and which are refused."""

import asyncio
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tomoni.addresses import is_private_url, require_private_database
from tomoni.client import Client, UnreachableError
from tomoni.database import migrate
from tomoni.roles import create_database
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError
from tomoni.transport import tls_for
from tomoni_cli.node_keys import rotate_log_key
from tomoni_cli.vault import erase

NEAR = [
    "postgresql://user:hunter2@127.0.0.1:5432/shibuya",
    "postgresql://user:hunter2@localhost/shibuya",
    "postgresql://user:hunter2@[::1]:5432/shibuya",
    "postgresql://user:hunter2@/shibuya?host=/run/postgresql",
    "postgresql://user:hunter2@%2Frun%2Fpostgresql/shibuya",
    "postgresql:///shibuya",
]
FAR = [
    "postgresql://user:hunter2@db.example/shibuya",
    "postgresql://user:hunter2@db.example/shibuya?sslmode=require",
    "postgresql://user:hunter2@127.0.0.1:5432,10.0.0.2:5432/shibuya",
    "postgresql://user:hunter2@[2001:db8::1]:5432/shibuya",
    "postgresql://user:hunter2@/shibuya?host=db.example",
]


@pytest.fixture(autouse=True)
def _no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("dsn", NEAR)
def test_a_database_on_this_machine_needs_no_tls(dsn: str) -> None:
    require_private_database(dsn)


@pytest.mark.parametrize("dsn", FAR)
def test_a_database_elsewhere_is_only_spoken_to_by_tls_that_says_who_answers(dsn: str) -> None:
    with pytest.raises(SettingsError, match="sslmode=verify-full") as caught:
        require_private_database(dsn)
    assert "hunter2" not in str(caught.value)
    require_private_database(dsn.partition("?sslmode")[0] + ("&" if "?host" in dsn else "?") + "sslmode=verify-full")


def test_what_the_environment_says_of_a_database_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(SettingsError):
        require_private_database("postgresql:///shibuya")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    require_private_database("postgresql:///shibuya")


async def test_an_owner_migrates_no_database_over_an_open_network() -> None:
    with pytest.raises(SettingsError, match="verify-full"):
        await create_database(FAR[0])
    with pytest.raises(SettingsError, match="verify-full"):
        await migrate(FAR[0], "registry", [])


@pytest.mark.parametrize("command", [rotate_log_key, partial(erase, uuid.UUID(int=1))])
def test_a_supervisors_token_goes_to_no_node_that_others_read_along_with(
    command: Callable[..., None], tmp_path: Path
) -> None:
    write_secret(tmp_path / "token", b"token")
    with pytest.raises(SettingsError, match="https://"):
        command(token_file=tmp_path / "token", url="http://node.example:8400")


@pytest.mark.parametrize("servers", [["nats://hub.example:4222"], ["tls://hub.example", "nats://10.0.0.1"], ["hub"]])
def test_a_hub_elsewhere_is_only_spoken_to_by_tls(servers: list[str]) -> None:
    with pytest.raises(SettingsError, match="tls://"):
        tls_for(servers, None)


def test_a_hub_on_this_machine_needs_no_tls_and_any_other_gets_it(tmp_path: Path) -> None:
    assert tls_for(["nats://127.0.0.1:4222", "nats://[::1]:4222"], None) is None
    assert tls_for(["tls://hub.example:4222"], None) is not None
    with pytest.raises(SettingsError, match="ca_file"):
        tls_for(["tls://hub.example:4222"], tmp_path / "none.crt")


@pytest.mark.parametrize("url", ["http://tomoni.example", "ftp://127.0.0.1", "127.0.0.1", "", "http://[", "https://"])
def test_a_url_that_others_could_read_is_not_private(url: str) -> None:
    assert not is_private_url(url)
    assert is_private_url("https://tomoni.example")
    assert is_private_url("http://[::1]:8500/log")


async def test_a_question_to_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A town hall's proxy stands in the environment; token and handle would stand in its log."""
    heard: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1_000))
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("tomoni.client.client.ATTEMPTS", 1)
    async with server, Client("http://127.0.0.1:9", "token") as client:
        with pytest.raises(UnreachableError):
            await client.status("131130", "0000-0000-0000-0000-00", purpose="counter")
    assert heard == []
