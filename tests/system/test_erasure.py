"""An erasure on a whole running system: afterwards nothing that is left, searched byte by byte, says who it was."""

import asyncio
import base64
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.registry.test_secrets import forms
from tomoni import times
from tomoni.database import create_pool
from tomoni.secret_files import write_secret
from tomoni_cli.demo import people
from tomoni_cli.demo.processes import ProcessError
from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import SHIBUYA
from tomoni_registry.vault.generations import settle
from tomoni_registry.vault.keyring import Keyring, list_keys
from tomoni_registry.vault.sealing import KEY_BYTES, SealError, WrappedKey, unseal
from tomoni_registry.vault.store import ErasedError, Vault

NAMES = ("秘匿󠄀 花子", "Zzyzx Quillfeather")
ADDRESS = "東京都渋谷区幡ヶ谷9-9-9 蜜柑荘"
NOTES = ("moved to a shelter in autumn", "会員証を水たまりに落とした")
DATABASE = f"node_{SHIBUYA.code}"
TODAY = times.day_in_japan(times.now())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_after_erasure_rotation_and_destruction_nothing_that_is_left_says_who_it_was(folder: Path) -> None:
    with System(folder, [SHIBUYA]) as system:
        _open_town(system)
        certificate, handles = _live(system)
        other, other_handles = _live(system)
        before = [_status(system, handle) for handle in (*handles, *other_handles)]
        assert before == ["not-valid"] * 4
        size, _ = system.verify_log(SHIBUYA)
        old = asyncio.run(_old_rows(system))
        _back_up(system)
        key = system.node_files(SHIBUYA).keys / "vault-1.key"
        key_was = key.read_bytes()

        _erase_rotate_destroy(system, certificate)

        assert system.verify_log(SHIBUYA)[0] == size + 1
        _until_mirrored(system, size + 1)
        assert [_status(system, handle) for handle in (*handles, *other_handles)] == before
        assert system.verify_mirror() == (0, "")
        supervisor = system.node_api(SHIBUYA, "supervisor")
        assert "application" in supervisor.get(f"/v1/certificates/{other}/vault")
        supervisor.close()

        _search(system, certificate, [*NAMES, ADDRESS, *NOTES, *handles], [key_was.strip(), base64.b64decode(key_was)])
        _try_every_key(system, old)
        _restore(system, certificate)


def _open_town(system: System) -> None:
    rules = system.node_files(SHIBUYA).rules
    commented = '# retention = { unit = "months", count = 60 }'
    assert commented in rules.read_text()
    rules.write_text(rules.read_text().replace(commented, 'retention = { unit = "days", count = 1 }'))
    system.node(SHIBUYA).stop()
    system.node(SHIBUYA).start()
    system.node(SHIBUYA).wait_ready()
    secretariat = system.federation_api("secretariat")
    secretariat.ask("/v1/admissions", system.admission_request(SHIBUYA))
    secretariat.close()
    system.relay(SHIBUYA).wait_ready()
    supervisor = system.node_api(SHIBUYA, "supervisor")
    supervisor.command("/v1/scheme/open", {"opens_on": "2020-04-01", "version": 0})
    supervisor.close()


def _live(system: System) -> tuple[str, list[str]]:
    """Let a certificate be issued, reissued, ended and read; return it and its two handles."""
    clerk, supervisor = system.node_api(SHIBUYA, "clerk"), system.node_api(SHIBUYA, "supervisor")
    body = msgspec.json.decode(msgspec.json.encode(people.shibuya_couple(TODAY - timedelta(days=60))), type=Any)
    for partner, name in zip(body["application"]["partners"], NAMES, strict=True):
        partner |= {"name": name, "address": ADDRESS}
    issued = clerk.command("/v1/certificates", body)
    path = f"/v1/certificates/{issued['certificate']}"
    reissued = clerk.command(f"{path}/reissue", {"reissued_on": TODAY - timedelta(days=30), "reason": NOTES[1]})
    end = {"effect": "ended", "reason": "dissolution", "effective_on": TODAY - timedelta(days=9), "note": NOTES[0]}
    clerk.command(f"{path}/revoke", end)
    assert NAMES[0] in str(supervisor.get(f"{path}/vault"))
    clerk.close()
    supervisor.close()
    _until_mirrored(system, system.verify_log(SHIBUYA)[0])
    return str(issued["certificate"]), [str(issued["handle"]), str(reissued["handle"])]


def _status(system: System, handle: str) -> str:
    verifier = system.federation_api("verifier")
    answer = verifier.ask("/v1/status", {"issuer": SHIBUYA.code, "handle": handle, "purpose": "counter"})
    verifier.close()
    return str(answer["status"])


def _until_mirrored(system: System, size: int) -> None:
    for _ in range(300):
        applied = f"SELECT count(*) FROM mirror.log WHERE proven_size >= {size} AND log = '{SHIBUYA.code}'"
        if system.run_sql("federation", applied) == "1":
            return
        time.sleep(0.1)
    pytest.fail("the federation does not prove what the node holds")


async def _old_rows(system: System) -> dict[str, list[asyncpg.Record]]:
    """Return the vault as it is in the database, as a backup has it."""
    connection = await asyncpg.connect(system.postgres.tcp_dsn(DATABASE))
    try:
        return {
            table: await connection.fetch(f"SELECT * FROM vault.{table}") for table in ("data_key", "record", "answer")
        }
    finally:
        await connection.close()


def _dump(system: System, database: str, *options: str) -> bytes:
    program = str(system.postgres.program("pg_dump"))
    return subprocess.run(
        [program, system.postgres.tcp_dsn(database), *options], capture_output=True, check=True
    ).stdout


def _back_up(system: System) -> None:
    (system.folder / "backup.dump").write_bytes(_dump(system, DATABASE, "--format=custom"))


def _erase_rotate_destroy(system: System, certificate: str) -> None:
    """Do what the operator's guide says, by its commands."""
    files = system.node_files(SHIBUYA)
    token = system.folder / "supervisor.token"
    write_secret(token, system.node_token(SHIBUYA, "supervisor").encode())
    erase = ("registry", "erase", certificate, "--token-file", str(token), "--url", system.node(SHIBUYA).url)
    status, told = system.run(*erase)
    assert (status, "is destroyed" in told) == (0, True), told
    status, told = system.run(*erase)
    assert (status, "certificate-erased" in told) == (1, True), told
    status, told = system.run("registry", "rotate-vault-key", "--config", str(files.settings))
    assert (status, "Generation 1 is retired" in told) == (0, True), told
    destroy = ("registry", "destroy-retired-keys", "--config", str(files.settings))
    status, told = system.run(*destroy)
    assert (status, "none is due" in told) == (0, True), told
    list_keys(files.keys)[1].become("retired", TODAY - timedelta(days=31))  # the days go by
    system.run_sql(DATABASE, "UPDATE vault.answer SET expires_at = now()")
    status, told = system.run(*destroy)
    assert (status, "Generation 1 is destroyed" in told) == (0, True), told


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "bytecode" not in path.parts:
            yield str(path.relative_to(folder)), path.read_bytes()


def _search(system: System, certificate: str, secrets: list[str], keys: list[bytes]) -> None:
    """Search dumps, the raw files of both databases with their WAL, the hub's storage, keys and logs."""
    system.run_sql(DATABASE, "CHECKPOINT")
    places = dict(_files(system.folder))
    for database in (DATABASE, "federation"):
        places[f"dump of {database}"] = _dump(system, database)
    for part in ("postgres/data/base", "postgres/data/pg_wal", "hub/", "node-", "logs/", "dump of", "backup.dump"):
        assert any(name.startswith(part) for name in places), part
    holders = {name.split("/")[0] for name, content in places.items() if certificate.encode() in content}
    assert holders >= {"postgres", "hub", f"dump of {DATABASE}"}  # what is there is found
    secrets += [secret.replace("-", "") for secret in secrets]
    wanted = [form for secret in secrets for form in forms(secret)] + keys
    assert [name for name, content in places.items() for form in wanted if form in content] == []


def _try_every_key(system: System, old: dict[str, list[asyncpg.Record]]) -> None:
    """Try every 32 bytes of the keys folder, plain and decoded, on every wrapped key and record of before."""
    keys: set[bytes] = set()
    for path in system.node_files(SHIBUYA).keys.iterdir():
        content = path.read_bytes()
        keys |= {content[n : n + KEY_BYTES] for n in range(len(content) - KEY_BYTES + 1)}
        if path.name.startswith("vault-") and content:
            keys.add(base64.b64decode(content))
    assert len(keys) > 100
    for key in keys:
        for row in old["data_key"]:
            _stays_shut(key, row["wrapped"], str(row["generation"]), "vault.data_key", row["subject"])
        for row in old["answer"]:
            _stays_shut(key, row["wrapped"], str(row["generation"]), "vault.answer", str(row["command_id"]))
    keyring = Keyring(system.node_files(SHIBUYA).keys)
    current = asyncio.run(_old_rows(system))
    data_keys = {
        row["subject"]: keyring.unwrap(
            WrappedKey(generation=row["generation"], wrapped=row["wrapped"]), "vault.data_key", row["subject"]
        )
        for row in current["data_key"]
    }
    for row in old["record"]:
        place = ("vault.record", row["subject"], row["field"], str(row["id"]))
        if row["subject"] in data_keys:
            assert unseal(data_keys[row["subject"]], row["sealed"], *place)  # another certificate's, which goes on
        else:
            for key in data_keys.values():
                _stays_shut(key, row["sealed"], *place)
    assert {row["subject"] for row in old["record"]} - set(data_keys)


def _stays_shut(key: bytes, sealed: bytes, *place: str) -> None:
    with pytest.raises(SealError):
        unseal(key, sealed, *place)


def _restore(system: System, certificate: str) -> None:
    """Restore the backup really, under the keys folder as it is: the node refuses to go on, and the vault is shut."""
    system.relay(SHIBUYA).stop()
    system.node(SHIBUYA).stop()
    system.run_sql("postgres", f"DROP DATABASE {DATABASE} WITH (FORCE)")
    system.run_sql("postgres", f"CREATE DATABASE {DATABASE} OWNER {DATABASE}_owner TEMPLATE template0")
    restore = [str(system.postgres.program("pg_restore")), "--dbname", system.postgres.tcp_dsn(DATABASE)]
    subprocess.run([*restore, str(system.folder / "backup.dump")], check=True)
    system.node(SHIBUYA).start()
    with pytest.raises(ProcessError):
        system.node(SHIBUYA).wait_ready()
    assert b"the log must not go on" in system.node(SHIBUYA).log.read_bytes()
    asyncio.run(_open_restored(system, certificate))


async def _open_restored(system: System, certificate: str) -> None:
    pool = await create_pool(system.postgres.tcp_dsn(DATABASE))
    subject = f"certificate/{certificate}"
    assert await pool.fetchval("SELECT 1 FROM vault.data_key WHERE subject = $1", subject) == 1
    keyring = Keyring(system.node_files(SHIBUYA).keys)
    with pytest.raises(SealError):
        await Vault(pool, keyring).read(subject)
    assert await settle(pool, keyring) > 0
    with pytest.raises(ErasedError):
        await Vault(pool, keyring).read(subject)
    await pool.close()
