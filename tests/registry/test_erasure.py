"""Erasing a certificate over HTTP: what goes, what stays, and who is known to have done it."""

import asyncio
import uuid
from datetime import date

import asyncpg
import pytest

from tests.registry.conftest import issue_body
from tomoni.database import create_pool
from tomoni.events import decode_event
from tomoni.events.jurisdiction import CertificateErased
from tomoni_registry.vault.keyring import Keyring, list_keys, make_next
from tomoni_registry.vault.records import AccessRecord
from tomoni_registry.vault.store import ErasedError, Vault

ENDED = {"effect": "ended", "reason": "death", "effective_on": "2026-11-02", "note": "told by the survivor"}
RETENTION = ('# retention = { unit = "months", count = 60 }', 'retention = { unit = "days", count = 7 }')


@pytest.fixture
async def keeping(node):
    """A node whose rules keep personal data for a week, with a certificate that has ended longer ago."""
    await node.restart_with_rules(RETENTION)
    await node.open_scheme()
    return node


async def ended(node):
    path = f"/v1/certificates/{(await node.issue())['certificate']}"
    assert (await node.post(f"{path}/revoke", ENDED)).status_code == 200
    return path


async def refused(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith(f"/{kind}")


async def test_erasing_destroys_key_and_records_and_the_status_stays(keeping):
    path, other = await ended(keeping), await ended(keeping)
    before = (await keeping.get(path)).json()
    answer = await keeping.post(f"{path}/erase", {}, "supervisor", subject="chief")
    assert answer.json() == before | {"version": 3, "erased": True}
    assert (await keeping.get(path)).json() == answer.json()
    await refused(await keeping.get(f"{path}/vault", "supervisor"), 410, "certificate-erased")
    assert (await keeping.get(f"{other}/vault", "supervisor")).status_code == 200
    subject = path.removeprefix("/v1/").replace("certificates", "certificate")
    for table in ("data_key", "record"):
        assert not await keeping.sql(f"SELECT 1 FROM vault.{table} WHERE subject = $1", subject)
    event = decode_event((await keeping.entries())[-1])
    assert isinstance(event, CertificateErased)
    assert event.data == type(event.data)(version=3)


async def test_who_erased_and_when_outlives_what_was_erased(keeping):
    path = await ended(keeping)
    await refused(await keeping.get(f"{path}/erasure", "supervisor"), 404, "certificate-not-erased")
    await keeping.post(f"{path}/erase", {}, "supervisor", subject="chief")
    shown = (await keeping.get(f"{path}/erasure", "supervisor")).json()
    assert shown == {
        "certificate": path.rpartition("/")[2],
        "erased_at": "2026-11-23T03:00:00.000000Z",
        "erased_by": "chief",
    }
    await keeping.sql("DELETE FROM vault.data_key WHERE subject LIKE 'erasure/%'")
    assert (await keeping.get(f"{path}/erasure", "supervisor")).json() == shown | {"erased_by": None}


async def test_an_erasure_is_carried_out_once_and_answered_again(keeping):
    path, key = await ended(keeping), str(uuid.uuid4())
    first = await keeping.post(f"{path}/erase", {"version": 2}, "supervisor", key=key)
    entries = await keeping.entries()
    again = await keeping.post(f"{path}/erase", {"version": 2}, "supervisor", key=key)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (200, again.content)
    await refused(await keeping.post(f"{path}/erase", {}, "supervisor"), 410, "certificate-erased")
    assert await keeping.entries() == entries


async def test_what_has_not_ended_or_is_still_kept_is_not_erased(keeping):
    current = f"/v1/certificates/{(await keeping.issue())['certificate']}"
    await refused(await keeping.post(f"{current}/erase", {}, "supervisor"), 409, "certificate-not-ended")
    await keeping.post(f"{current}/revoke", ENDED | {"effective_on": "2026-11-20"})
    await refused(await keeping.post(f"{current}/erase", {}, "supervisor"), 409, "retention-not-over")
    await refused(await keeping.post(f"{current}/erase", {"version": 1}, "supervisor"), 409, "stale-version")
    assert (await keeping.get(f"{current}/vault", "supervisor")).status_code == 200


async def test_rules_without_a_retention_erase_nothing(node):
    await node.open_scheme()
    path = await ended(node)
    await refused(await node.post(f"{path}/erase", {}, "supervisor"), 409, "retention-not-set")


async def kept_answers(node):
    return {row["command_id"] for row in await node.sql("SELECT command_id FROM vault.answer")}


async def test_kept_answers_that_show_a_handle_go_with_the_certificate(keeping):
    """They would have lasted a day. Whoever sends the old command again learns that it was carried out, no more."""
    issuing, before = str(uuid.uuid4()), await kept_answers(keeping)
    issued = await keeping.post("/v1/certificates", issue_body(), key=issuing)
    of_issuing = await kept_answers(keeping) - before
    path = f"/v1/certificates/{issued.json()['certificate']}"
    await keeping.post(f"{path}/revoke", ENDED)
    before = await kept_answers(keeping)
    await keeping.post(f"{path}/reissue", {"reissued_on": "2026-11-03"})
    of_refusal = await kept_answers(keeping) - before
    await keeping.post(f"{path}/erase", {}, "supervisor")
    kept = await kept_answers(keeping)
    assert len(of_issuing) == len(of_refusal) == 1
    assert not of_issuing & kept
    assert of_refusal <= kept
    repeated = await keeping.post("/v1/certificates", issue_body(), key=issuing)
    await refused(repeated, 409, "command-already-done")
    assert issued.json()["handle"] not in repeated.text


async def test_a_reading_that_an_erasure_overtakes_shows_nothing(keeping):
    """The trace of a reading is written under a key that may be gone by then: that is an answer, not a fault."""
    path = await ended(keeping)
    subject = f"certificate/{path.rpartition('/')[2]}"
    keyring = Keyring(keeping.files.keys)
    pool = await create_pool(keeping.settings.database)
    vault = Vault(pool, keyring)
    trace = AccessRecord(who="chief", what="certificate.read-vault", at="2026-11-23T03:00:00.000000Z")
    blocking = await asyncpg.connect(keeping.owner_dsn)
    try:
        erasing = blocking.transaction()
        await erasing.start()
        await blocking.execute("DELETE FROM vault.data_key WHERE subject = $1", subject)
        reading = asyncio.create_task(vault.write(subject, trace))
        while not await keeping.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await keeping.pause()
        await erasing.commit()
        with pytest.raises(ErasedError):
            await reading
    finally:
        await blocking.close()
        await pool.close()


async def test_what_an_old_backup_brings_back_is_shown_to_nobody_and_destroyed_again(keeping):
    path = await ended(keeping)
    subject = f"certificate/{path.rpartition('/')[2]}"
    await keeping.sql("CREATE TABLE public.old_key AS SELECT * FROM vault.data_key WHERE subject = $1", subject)
    await keeping.post(f"{path}/erase", {}, "supervisor")
    await keeping.sql("INSERT INTO vault.data_key SELECT * FROM public.old_key")
    await refused(await keeping.get(f"{path}/vault", "supervisor"), 410, "certificate-erased")
    await keeping.stop()
    await keeping.start()
    while await keeping.sql("SELECT 1 FROM vault.data_key WHERE subject = $1", subject):
        await keeping.pause()
    assert (await keeping.get(f"{path}/erasure", "supervisor")).status_code == 200


async def test_a_certificate_whose_wrapping_key_is_destroyed_goes_on_with_a_new_one(keeping):
    """An old backup of the database has come back, and what it holds opens no more: that must not stop a revocation."""
    path = f"/v1/certificates/{(await keeping.issue())['certificate']}"
    await keeping.stop()
    make_next(keeping.files.keys, 2).become("key", date(2026, 9, 1))
    retired = list_keys(keeping.files.keys)[1].become("retired", date(2026, 9, 1))
    retired.become("destroyed", date(2026, 10, 2)).overwrite()
    await keeping.start()
    await refused(await keeping.get(f"{path}/vault", "supervisor"), 410, "certificate-erased")
    assert (await keeping.post(f"{path}/revoke", ENDED)).status_code == 200
    held = (await keeping.get(f"{path}/vault", "supervisor")).json()
    assert held["application"] is None
    assert [one["note"] for one in held["reasons"]] == [ENDED["note"]]
