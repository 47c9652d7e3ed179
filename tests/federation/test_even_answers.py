"""What somebody on the network sees of an answer, its size, tells nothing of the document."""

from datetime import timedelta

import pytest

from tests.federation.towns import NOW
from tomoni.documents import new_handle


@pytest.fixture
async def handles(desk, shibuya, setagaya):
    """A document of every standing."""
    found = {}
    _, found["valid"] = shibuya.issue()
    _, found["conditional"] = shibuya.issue(conditional_until=(NOW + timedelta(days=30)).date())
    ended, found["not-valid"] = shibuya.issue()
    shibuya.revoke(ended)
    reissued, found["replaced"] = shibuya.issue()
    shibuya.reissue(reissued)
    found["not-found"] = new_handle()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    return found


async def sizes(desk, path, handles, *scopes, **fields):
    found = {}
    for status, handle in handles.items():
        body = {"issuer": "131130", "handle": handle, "purpose": "counter"} | fields
        found[status] = await desk.post(path, body, *scopes)
        assert found[status].status_code == 200
    return {len(answer.content) for answer in found.values()}, found


async def test_every_status_has_the_same_size(desk, handles):
    size, answers = await sizes(desk, "/v1/status", handles)
    assert {status: answer.json()["status"] for status, answer in answers.items()} == {name: name for name in handles}
    assert size == {512}
    assert (await sizes(desk, "/v1/status", handles, "auditor"))[0] == {512}
    desk.now += timedelta(days=3)
    size, answers = await sizes(desk, "/v1/status", handles)
    assert {answer.json()["status"] for answer in answers.values()} == {"unknown"}
    assert size == {512}


async def test_every_recognition_has_the_same_size(desk, handles):
    asked = {"receiver": "131121", "service": "public-housing"}
    size, answers = await sizes(desk, "/v1/recognition", handles, **asked)
    assert {answer.json()["decision"] for answer in answers.values()} == {"recognised", "not-recognised"}
    assert size == {4_096}
