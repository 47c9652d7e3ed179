"""The rendered configuration: a pure function whose text a real nats-server accepts."""

import asyncio
import re

import pytest

from tests.hub.logs import new_key
from tomoni.jurisdictions.catalogue import all_jurisdictions
from tomoni_federation.hub.binary import BinaryError, verified_binary
from tomoni_federation.hub.configuration import Listening, ServiceKeys, Storage, render
from tomoni_federation.hub.nats_server import NatsServer, ServerError

CODES = [one.code for one in all_jurisdictions()]
KEYS = ServiceKeys(system=new_key(), provisioner=new_key(), federation=new_key())


def rendered(folder, users, codes=CODES, **listening) -> str:
    address = Listening(**{"host": "127.0.0.1", "port": 14222, "monitor_port": 18222, **listening})
    return render("hub", address, Storage(folder=folder, max_bytes=2_000_000_000), KEYS, codes, users)


def server_of(folder, text: str) -> NatsServer:
    (folder / "nats.conf").write_text(text)
    return NatsServer(verified_binary(), folder / "nats.conf", folder / "log", 18222)


async def test_a_server_accepts_an_account_for_every_jurisdiction_of_japan(tmp_path):
    text = rendered(tmp_path, {code: (new_key(), new_key()) for code in CODES})
    assert (await server_of(tmp_path, text).check()).startswith("sha256:")
    assert len(CODES) == 1788
    assert all(f'  "{code}": {{' in text for code in CODES)


def test_the_order_in_which_things_are_given_does_not_matter(tmp_path):
    users = {"131130": (new_key(),), "131121": (new_key(),)}
    backwards = dict(reversed(users.items()))
    assert rendered(tmp_path, users) == rendered(tmp_path, backwards, [*reversed(CODES), CODES[0]])


def test_an_admission_changes_one_line_only(tmp_path):
    before = rendered(tmp_path, {}).splitlines()
    after = rendered(tmp_path, {"131130": (new_key(),)}).splitlines()
    assert len([1 for old, new in zip(before, after, strict=True) if old != new]) == 1


def test_a_user_without_an_account_is_left_out(tmp_path):
    assert rendered(tmp_path, {"999999": (new_key(),)}) == rendered(tmp_path, {})


def test_what_is_dangerous_is_absent(tmp_path):
    text = rendered(tmp_path, {"131130": (new_key(),)})
    assert "no_auth_user" not in text
    assert '"_INBOX.>"' not in text
    assert '"$JS.API.>"' not in text
    assert not re.search(r"STREAM\.(UPDATE|DELETE|PURGE|MSG)", text)
    assert 'http: "127.0.0.1:18222"' in text
    assert "sync_interval: always" in text
    assert "js_ack_fc_v2: false" in text
    assert re.search(r"max_payload: 65536\b", text)


def test_a_certificate_means_tls_1_3_and_nothing_older(tmp_path):
    text = rendered(tmp_path, {}, certificate=tmp_path / "hub.crt", key=tmp_path / "hub.key")
    assert 'min_version: "1.3"' in text
    assert "tls {" not in rendered(tmp_path, {})


async def test_a_configuration_that_the_server_refuses_is_told_and_not_loaded(tmp_path):
    key = new_key()
    with pytest.raises(ServerError, match="refuses its configuration"):
        await server_of(tmp_path, rendered(tmp_path, {"131130": (key,), "131121": (key,)})).check()


def test_the_binary_of_the_wheel_has_the_digest_of_its_record():
    assert verified_binary().name.startswith("nats-server")


def test_a_binary_of_ones_own_needs_its_digest(tmp_path):
    own = tmp_path / "nats-server"
    own.write_bytes(b"x")
    right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert verified_binary(own, right) == own
    for path, digest in ((own, None), (own, "00" * 32), (own, "zz"), (tmp_path / "absent", right)):
        with pytest.raises(BinaryError):
            verified_binary(path, digest)


async def test_a_server_that_cannot_start_says_where_its_words_are(tmp_path):
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    server = server_of(tmp_path, rendered(tmp_path, {}, codes=[], port=port))
    with pytest.raises(ServerError, match="its words are in"):
        await server.start()
    await server.close()
    taken.close()
