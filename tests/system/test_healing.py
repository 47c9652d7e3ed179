"""What breaks for good and comes back, with every process real: nothing is lost, and no ended document looks valid."""

import asyncio
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from tomoni import times
from tomoni.loopback import NOBODY
from tomoni.secret_files import write_secret
from tomoni_cli.demo import people
from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import SHIBUYA
from tomoni_federation.projections.digest import digest

NODE = f"node_{SHIBUYA.code}"
PATIENCE = 120
WAITED = int(os.environ.get("TOMONI_TEST_WAITED", "1000"))
"""Entries of a node that was cut off; 10,000 are two weeks of a large town."""


def until(look: Callable[[], bool], what: str) -> None:
    """Wait for what happens in other processes; the limit only says when to give up."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not happen in {PATIENCE} s: {what}")
        time.sleep(0.2)


class Town:
    """Shibuya, admitted, with its scheme open."""

    def __init__(self, system: System) -> None:
        self.system = system
        secretariat = system.federation_api("secretariat")
        secretariat.ask("/v1/admissions", system.admission_request(SHIBUYA))
        secretariat.close()
        system.relay(SHIBUYA).wait_ready()
        self.supervisor, self.verifier = system.node_api(SHIBUYA, "supervisor"), system.federation_api("verifier")
        self.clerk = system.node_api(SHIBUYA, "clerk")
        self.supervisor.command("/v1/scheme/open", {"opens_on": "2020-04-01", "version": 0})
        self.today = times.day_in_japan(times.now())

    def issue(self, count: int = 1) -> tuple[str, str]:
        """Issue certificates, and return the last one with its handle."""
        for _ in range(count):
            issued = self.clerk.command("/v1/certificates", people.shibuya_couple(self.today))
        return str(issued["certificate"]), str(issued["handle"])

    def revoke(self, certificate: str) -> None:
        body = {"effect": "ended", "reason": "dissolution", "effective_on": str(self.today)}
        self.clerk.command(f"/v1/certificates/{certificate}/revoke", body)

    def status(self, handle: str) -> str:
        body = {"issuer": SHIBUYA.code, "handle": handle, "purpose": "counter"}
        return str(self.verifier.ask("/v1/status", body)["status"])

    def entries(self) -> list[str]:
        return self.system.run_sql(NODE, "SELECT encode(data, 'hex') FROM log.entry ORDER BY position").split()

    def require_proven(self) -> None:
        """Wait until the federation holds what the node holds, and the node has the receipt for it."""
        entries = self.entries()
        mirrored = "SELECT encode(data, 'hex') FROM mirror.entry ORDER BY position"
        until(lambda: self.system.run_sql("federation", mirrored).split() == entries, "everything is proven")
        receipted = f"SELECT max(size) = {len(entries)} FROM relay.receipt"
        until(lambda: self.system.run_sql(NODE, receipted).strip() == "t", "the receipt is there")

    def digest(self) -> str:
        async def read() -> str:
            connection = await asyncpg.connect(self.system.postgres.tcp_dsn("federation"))
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    return await digest(connection)
            finally:
                await connection.close()

        return asyncio.run(read())


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    with System(folder, [SHIBUYA]) as system:
        yield Town(system)


def copy_database(system: System, source: str, target: str, owner: str) -> None:
    system.postgres.run_sql(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
    system.postgres.run_sql(f'CREATE DATABASE "{target}" OWNER "{owner}" TEMPLATE "{source}"')


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_restored_from_an_old_backup_gets_its_tail_back_from_the_federation_and_goes_on(folder: Path) -> None:
    with town(folder) as shibuya:
        system, files = shibuya.system, shibuya.system.node_files(SHIBUYA)
        revoked, handle = shibuya.issue(3)
        for process in (system.node(SHIBUYA), system.relay(SHIBUYA)):
            process.stop()
        copy_database(system, NODE, "backup", f"{NODE}_owner")
        system.node(SHIBUYA).start()
        system.node(SHIBUYA).wait_ready()
        system.relay(SHIBUYA).start()
        shibuya.revoke(revoked)
        shibuya.issue(3)
        shibuya.require_proven()
        before = shibuya.entries()
        for process in (system.node(SHIBUYA), system.relay(SHIBUYA)):
            process.stop()
        copy_database(system, "backup", NODE, f"{NODE}_owner")
        environment = {"TOMONI_DATABASE": system._database(files.settings)["DATABASE"]}
        with patched(environment):
            status, told = system.run("registry", "serve", "--config", str(files.settings))
            assert (status, "the log must not go on" in told) == (3, True), told
            token = folder / "federation.token"
            write_secret(token, bound_token(system).encode())
            command = ["registry", "recover", "--config", str(files.settings), "--from", system.federation.url]
            status, told = system.run(*command, "--token-file", str(token))
        assert status == 0, told
        assert "4 entries came back; the log has 8." in told
        assert "3 certificates came back without any personal data" in told
        assert revoked in told
        assert shibuya.entries() == before
        system.node(SHIBUYA).start()
        system.node(SHIBUYA).wait_ready()
        system.relay(SHIBUYA).start()
        _, newer = shibuya.issue()
        shibuya.require_proven()
        until(lambda: shibuya.status(newer) == "valid", "the new certificate is valid")
        assert shibuya.status(handle) == "not-valid"


def bound_token(system: System) -> str:
    settings = str(system.federation_files.settings)
    command = ["token", "--config", settings, "--scope", "supervisor", "--subject", "recover"]
    status, token = system.run(*command, "--jurisdiction", SHIBUYA.code)
    assert status == 0, token
    return token.strip()


@contextmanager
def patched(environment: dict[str, str]) -> Iterator[None]:
    """Have commands find the database where it is this time."""
    before = dict(os.environ)
    os.environ.update(environment)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("hub_too", [False, True])
def test_a_federation_that_lost_its_database_comes_back_equal(folder: Path, hub_too: bool) -> None:
    with town(folder) as shibuya:
        system = shibuya.system
        revoked, handle = shibuya.issue(4)
        shibuya.revoke(revoked)
        shibuya.require_proven()
        if hub_too:  # what was published before is on no hub any more: the town has to begin anew
            system.hub.stop()
            shutil.rmtree(folder / "hub" / "state" / "js")
            system.hub.start()
            system.hub.wait_ready()
            shibuya.issue()
            shibuya.require_proven()
        before, own = shibuya.digest(), own_log(system)
        system.federation.kill()
        system.postgres.run_sql("DROP DATABASE federation WITH (FORCE)")
        system.postgres.run_sql("CREATE DATABASE federation OWNER federation_owner")
        environment = {
            "TOMONI_DATABASE": system._database(system.federation_files.settings)["DATABASE"],
            "TOMONI_OWNER_DATABASE": system.postgres.tcp_dsn("federation", "federation_owner"),
        }
        command = ["federation", "restore", "--config", str(system.federation_files.settings)]
        with patched(environment):
            status, told = system.run(*command, "--log", str(folder / "hub" / "state" / "federation-log"))
        assert status == 0, told
        assert own_log(system) == own
        system.federation.start()
        system.federation.wait_ready()

        def equal() -> bool:
            assert shibuya.status(handle) != "valid"
            return shibuya.digest() == before

        until(equal, "the read model is equal, bit for bit")
        _, newer = shibuya.issue()
        shibuya.require_proven()
        until(lambda: shibuya.status(newer) == "valid", "the new certificate is valid")
        assert shibuya.status(handle) == "not-valid"
        assert system.verify_mirror() == (0, "")


def own_log(system: System) -> str:
    return system.run_sql("federation", "SELECT encode(data, 'hex') FROM log.entry ORDER BY position")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_changed_row_of_the_mirror_is_found_and_sent_again_by_the_town_without_anybody_calling(folder: Path) -> None:
    with town(folder) as shibuya:
        system = shibuya.system
        _, handle = shibuya.issue(3)
        shibuya.require_proven()
        system.federation.stop()
        system.federation._settings["TOMONI_MIRROR__SCRUB_SECONDS"] = "0.5"
        system.run_sql(
            "federation",
            "ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay;"
            "UPDATE mirror.entry SET data = sha256(data) WHERE position = 2;"
            "DELETE FROM mirror.entry WHERE position = 3;"
            "ALTER TABLE mirror.entry ENABLE ALWAYS TRIGGER entries_stay",
        )
        assert system.verify_mirror()[0] == 1
        system.federation.start()
        system.federation.wait_ready()
        mended = "SELECT bool_and(mended_at IS NOT NULL) FROM mirror.damage"
        until(lambda: system.run_sql("federation", mended).strip() == "t", "the rows are mended")
        assert system.verify_mirror() == (0, "")
        shibuya.issue()
        shibuya.require_proven()
        assert shibuya.status(handle) == "valid"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hub_from_an_old_snapshot_and_all_entries_of_a_node_that_was_cut_off_for_long(folder: Path) -> None:
    """The hub's disk goes back to a snapshot while a node writes on without it; then both are there again."""
    with town(folder) as shibuya:
        system, streams = shibuya.system, folder / "hub" / "state" / "js"
        revoked, handle = shibuya.issue(3)
        shibuya.require_proven()
        system.hub.stop()
        shutil.copytree(streams, folder / "snapshot")
        system.hub.start()
        system.hub.wait_ready()
        shibuya.issue(3)
        shibuya.require_proven()
        system.hub.stop()
        shutil.rmtree(streams)
        shutil.move(folder / "snapshot", streams)
        shibuya.revoke(revoked)
        asyncio.run(issue_many(shibuya, WAITED))
        assert shibuya.status(handle) in {"valid", "unknown"}  # nothing is proven of its end yet
        system.hub.start()
        system.hub.wait_ready()
        shibuya.require_proven()
        until(lambda: shibuya.status(handle) == "not-valid", "the end is known")
        assert len(shibuya.entries()) == WAITED + 8
        assert system.verify_mirror() == (0, "")


async def issue_many(shibuya: Town, count: int) -> None:
    """Issue certificates by many clients at once."""
    headers = {
        "Authorization": f"Bearer {shibuya.system.node_token(SHIBUYA, 'clerk')}",
        "Content-Type": "application/json",
    }
    body, left = msgspec.json.encode(people.shibuya_couple(shibuya.today)), iter(range(count))

    async def client(http: httpx.AsyncClient) -> None:
        for _ in left:
            answer = await http.post("/v1/certificates", content=body, headers={"Idempotency-Key": str(uuid.uuid4())})
            assert answer.status_code == 201, answer.text

    url = shibuya.system.node(SHIBUYA).url
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False, verify=NOBODY) as http:
        await asyncio.gather(*(client(http) for _ in range(32)))
