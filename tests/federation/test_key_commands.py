"""The secretariat's commands about keys, as they are typed beside a running service."""

import asyncio
import json

import msgspec
import pytest

from tests.federation.test_answers import admission, own_log
from tests.federation.test_own_keys import make
from tests.federation.towns import FEDERATION
from tomoni import nkey
from tomoni.admission import sign_transport_key
from tomoni.events import federation as f
from tomoni.tlog.note import generate_signer
from tomoni_cli.federation import app


@pytest.fixture
async def typed(desk, database, tmp_path, capsys):
    """Type a command and get its status, and what it says."""
    made, _ = await make(database, tmp_path / "federation")

    def run(*words: str) -> tuple[int, str]:
        try:
            app([*words, "--config", str(made.files.settings)])
        except SystemExit as ended:
            told = capsys.readouterr()
            return int(ended.code or 0), told.out + told.err
        raise AssertionError("a command ends")

    async def typed(*words: object) -> tuple[int, str]:
        return await asyncio.to_thread(run, *map(str, words))

    return typed


async def admitted(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    return town


async def test_a_stolen_key_is_suspended_its_documents_are_listed_and_the_town_comes_back(desk, typed, tmp_path):
    town = await admitted(desk)
    kept, handle = town.issue()
    await desk.hear(town)
    town.revoke(kept)
    forged, secret = town.issue()
    town.declare("131130")
    await desk.hear(town)
    assert await typed("affected", "282022") == (0, "Nothing that was proven of this log was taken back.\n")
    expected = [
        {
            "certificate": certificate,
            "documents": [town.documents[certificate]],
            "events": [event],
            "first_position": position,
            "issued_after": event == "issued",
        }
        for certificate, event, position in ((kept, "revoked", 1), (forged, "issued", 2))
    ]
    status, told = await typed("affected", "282022", "--from-size", 1, "--json")
    others = json.loads(told)["others"]
    assert (status, json.loads(told)["certificates"]) == (1, expected)
    status, told = await typed("suspend-key", "282022", "--from-size", 1)
    assert (status, "is suspended from size 1 on" in told) == (0, True), told
    await desk.federation.projector.catch_up()
    status, told = await typed("affected", "282022", "--json")
    assert (status, json.loads(told)) == (1, {"certificates": expected, "others": others})
    status, told = await typed("affected", "282022")
    assert all(word in told for word in ("revoked", "issued", others[0]))
    assert not {handle, secret} & set(told.split())
    renewed, request = await admission("282022")
    (tmp_path / "request.json").write_bytes(msgspec.json.encode(request))
    status, told = await typed("readmit", tmp_path / "request.json")
    assert (status, renewed.log_key.vkey in told.replace("\n", "")) == (0, True), told
    renewed.entries, renewed.versions = town.entries[:2], town.versions
    await desk.hear(renewed)
    status, told = await typed("affected", "282022", "--json")  # its own end stands in the log again
    assert [one["certificate"] for one in json.loads(told)["certificates"]] == [forged]
    kinds = [type(event).__name__ for event in await own_log(desk)]
    assert kinds == ["JurisdictionAdmitted", "JurisdictionSuspended", "JurisdictionReadmitted"]


async def test_what_cannot_be_done_is_refused_with_what_can(desk, typed, tmp_path):
    assert (await typed("suspend-key", "282022"))[0] == 1
    assert "never admitted" in (await typed("suspend-key", "282022"))[1]
    town = await admitted(desk)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    status, told = await typed("suspend-key", "282022", "--from-size", 2)
    assert (status, "The last one before it that has a receipt is 0" in told) == (1, True), told


async def test_a_transport_key_is_accepted_beside_the_one_in_force_and_that_one_retired(desk, typed, tmp_path):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    seed = nkey.generate_seed()
    file = tmp_path / "request.json"

    def asks(signer, replaces, seed):
        made = sign_transport_key(FEDERATION, "282022", signer, replaces, seed)
        file.write_bytes(msgspec.json.encode(made))
        return file

    stranger = generate_signer(town.origin)
    for signer, replaces in ((stranger, request.transport_key), (town.log_key, nkey.public_nkey(seed))):
        status, told = await typed("accept-transport-key", asks(signer, replaces, seed))
        assert status == 1, told
    asks(town.log_key, request.transport_key, seed)
    for _ in range(2):
        assert (await typed("accept-transport-key", file))[0] == 0
    other = asks(town.log_key, request.transport_key, nkey.generate_seed())
    assert (await typed("accept-transport-key", other))[0] == 1
    for _ in range(2):
        assert (await typed("retire-transport-key", "282022"))[0] == 0
    _, accepted, retired = await own_log(desk)
    assert isinstance(accepted, f.JurisdictionTransportKeyAccepted)
    assert isinstance(retired, f.JurisdictionTransportKeyRetired)
    assert accepted.data.transport_key == nkey.public_nkey(seed)
    assert retired.data.transport_key == request.transport_key
    assert (await desk.office.admission("282022")).transport_keys == (nkey.public_nkey(seed),)
    asks(town.log_key, request.transport_key, seed)  # yesterday's request changes nothing any more
    assert (await typed("accept-transport-key", file))[0] == 0
    assert len(await own_log(desk)) == 3
