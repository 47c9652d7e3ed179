"""A command is carried out once, and its answer, whatever it was, is given again for a day."""

import asyncio
import uuid

import pytest

from tests.registry.conftest import issue_body

KEY = "0e5bd4f4-3a4c-4a0f-8f43-8f1f5a6d9b10"


@pytest.fixture
async def opened(node):
    await node.open_scheme()
    return node


async def test_the_same_command_gets_the_same_answer_and_the_same_handle(opened):
    first = await opened.post("/v1/certificates", issue_body(), key=KEY)
    again = await opened.post("/v1/certificates", issue_body(), key=KEY)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    assert len(await opened.entries()) == 2


async def test_a_refusal_is_given_again_even_where_it_would_pass_by_now(node):
    first = await node.post("/v1/certificates", issue_body(), key=KEY)
    assert first.status_code == 409
    await node.open_scheme()
    again = await node.post("/v1/certificates", issue_body(), key=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == "application/problem+json"
    assert (await node.post("/v1/certificates", issue_body())).status_code == 201


@pytest.mark.parametrize("used", ["another body", "another clerk", "another command"])
async def test_a_key_used_for_something_else_is_refused(opened, used):
    issued = await opened.post("/v1/certificates", issue_body(), key=KEY)
    entries = await opened.entries()
    path = f"/v1/certificates/{issued.json()['certificate']}/reissue"
    answer = {
        "another body": opened.post("/v1/certificates", issue_body(certified_on="2026-10-02"), key=KEY),
        "another clerk": opened.post("/v1/certificates", issue_body(), key=KEY, subject="clerk-2"),
        "another command": opened.post(path, {"reissued_on": "2026-11-01"}, key=KEY),
    }
    refused = await answer.pop(used)
    for unused in answer.values():
        unused.close()
    assert refused.status_code == 422
    assert refused.json()["type"].endswith("/idempotency-key-reused")
    assert issued.json()["handle"] not in refused.text
    assert await opened.entries() == entries


async def test_many_at_once_with_one_key_become_one_entry_and_one_answer(opened):
    answers = await asyncio.gather(*(opened.post("/v1/certificates", issue_body(), key=KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(await opened.entries()) == 2


async def test_two_processes_with_one_key_become_one_entry_and_one_answer(opened):
    other = type(opened)(opened.files, opened.owner_dsn)
    await other.start()
    try:
        answers = await asyncio.gather(
            *(one.post("/v1/certificates", issue_body(), key=KEY) for one in (opened, other) for _ in range(5))
        )
    finally:
        await other.stop()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(await opened.entries()) == 2


async def test_many_commands_at_once_are_all_carried_out(opened):
    answers = await asyncio.gather(*(opened.post("/v1/certificates", issue_body()) for _ in range(64)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["handle"] for answer in answers}) == 64
    assert len(await opened.entries()) == 65


async def test_of_clerks_who_change_the_same_version_one_wins(opened):
    path = f"/v1/certificates/{(await opened.issue())['certificate']}/revoke"
    body = {"effect": "ended", "reason": "death", "effective_on": "2026-11-01", "version": 1}
    answers = await asyncio.gather(*(opened.post(path, body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert len(await opened.entries()) == 3


async def test_those_who_name_no_version_are_decided_one_after_another(opened):
    path = f"/v1/certificates/{(await opened.issue())['certificate']}/reissue"
    answers = await asyncio.gather(*(opened.post(path, {"reissued_on": "2026-11-01"}) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4, 5]


async def test_after_a_day_the_answer_is_gone_and_the_command_still_happens_once(opened):
    await opened.post("/v1/certificates", issue_body(), key=KEY)
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    late = await opened.post("/v1/certificates", issue_body(), key=KEY)
    assert late.status_code == 409
    assert late.json()["type"].endswith("/command-already-done")
    assert len(await opened.entries()) == 2


async def test_a_refusal_whose_day_is_over_counts_no_more_though_its_row_is_still_there(node):
    refused = await node.post("/v1/certificates", issue_body(), key=KEY)
    assert refused.status_code == 409
    await node.sql("UPDATE vault.answer SET expires_at = now()")
    again = await node.post("/v1/certificates", issue_body(), key=KEY)
    assert (again.status_code, again.content) == (409, refused.content)
    assert await node.sql("SELECT 1 FROM vault.answer WHERE expires_at > now()")
    await node.open_scheme()
    await node.sql("UPDATE vault.answer SET expires_at = now()")
    late = await node.post("/v1/certificates", issue_body(), key=KEY)
    assert late.status_code == 201, late.text
    assert (await node.post("/v1/certificates", issue_body(), key=KEY)).content == late.content
    assert len(await node.entries()) == 2


async def test_a_command_that_was_carried_out_is_never_refused_because_of_its_own_effect(opened):
    path = f"/v1/certificates/{(await opened.issue())['certificate']}/revoke"
    body = {"effect": "ended", "reason": "death", "effective_on": "2026-11-01", "version": 1}
    assert (await opened.post(path, body, key=KEY)).status_code == 200
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    for _ in range(2):
        late = await opened.post(path, body, key=KEY)
        assert late.json()["type"].endswith("/command-already-done"), late.text
    assert len(await opened.entries()) == 3


async def test_many_at_once_after_the_day_of_a_refusal_become_one_entry_and_one_answer(node):
    assert (await node.post("/v1/certificates", issue_body(), key=KEY)).status_code == 409
    await node.open_scheme()
    other = type(node)(node.files, node.owner_dsn)
    await other.start()  # it deletes what has expired when it starts
    await node.sql("UPDATE vault.answer SET expires_at = now()")
    try:
        answers = await asyncio.gather(
            *(one.post("/v1/certificates", issue_body(), key=KEY) for one in (node, other) for _ in range(5))
        )
    finally:
        await other.stop()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


async def test_answers_are_deleted_when_their_day_is_over(opened):
    await opened.post("/v1/certificates", issue_body())
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    await opened.restart_with_rules()
    for _ in range(100):
        if not await opened.sql("SELECT 1 FROM vault.answer"):
            break
        await asyncio.sleep(0.05)
    assert await opened.sql("SELECT 1 FROM vault.answer") == []


@pytest.mark.parametrize("key", ["", "secret-of-mine", "1234", KEY + "0"])
async def test_a_key_is_a_uuid(opened, key):
    headers = opened.headers() | {"Idempotency-Key": key, "Content-Type": "application/json"}
    answer = await opened.client.post("/v1/certificates", json=issue_body(), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/idempotency-key-invalid")
    assert "secret-of-mine" not in answer.text
    del headers["Idempotency-Key"]
    answer = await opened.client.post("/v1/certificates", json=issue_body(), headers=headers)
    assert answer.json()["type"].endswith("/idempotency-key-invalid")


async def test_a_malformed_body_does_not_use_the_key_up(opened):
    key = str(uuid.uuid4())
    assert (await opened.post("/v1/certificates", b"{", key=key)).status_code == 400
    assert (await opened.post("/v1/certificates", issue_body(), key=key)).status_code == 201
