import signal
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.secret_files import SecretFileError, read_secret, write_secret
from tomoni_registry.vault.answers import Answer
from tomoni_registry.vault.records import AccessRecord, DocumentRecord
from tomoni_registry.vault.sealing import (
    Keyring,
    SealError,
    WrappedKey,
    create_key,
    load_key,
    new_key,
    seal,
    unseal,
)

places = st.lists(st.text(), min_size=1, max_size=4).map(tuple)


@given(st.binary(), places)
def test_what_is_sealed_opens_in_its_place(plaintext, place):
    key = new_key()
    assert unseal(key, seal(key, plaintext, *place), *place) == plaintext


@given(st.binary(), places, places)
def test_what_is_sealed_opens_nowhere_else(plaintext, place, other):
    key = new_key()
    sealed = seal(key, plaintext, *place)
    if place != other:
        with pytest.raises(SealError):
            unseal(key, sealed, *other)
    with pytest.raises(SealError):
        unseal(new_key(), sealed, *place)


@given(st.binary(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(plaintext, index, change):
    key = new_key()
    sealed = bytearray(seal(key, plaintext, "place"))
    sealed[index % len(sealed)] ^= change
    with pytest.raises(SealError):
        unseal(key, bytes(sealed), "place")


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(12), bytes(27)])
def test_what_is_too_short_does_not_open(sealed):
    with pytest.raises(SealError):
        unseal(new_key(), sealed, "place")


def test_the_same_value_is_sealed_differently_each_time():
    key = new_key()
    assert len({seal(key, b"the same", "place") for _ in range(100)}) == 100


def test_a_key_is_wrapped_under_the_current_generation_and_older_ones_still_open(tmp_path):
    first = Keyring.create(tmp_path / "keys.json")
    data_key = new_key()
    wrapped = first.wrap(data_key, "certificate/1")
    assert wrapped.generation == 1
    again = Keyring.load(tmp_path / "keys.json")
    assert again.unwrap(wrapped, "certificate/1") == data_key
    with pytest.raises(SealError):
        again.unwrap(wrapped, "certificate/2")

    grown = msgspec.json.decode((tmp_path / "keys.json").read_bytes())
    grown["generations"]["2"] = msgspec.json.decode(msgspec.json.encode(new_key()))
    write_secret(tmp_path / "next.json", msgspec.json.encode(grown | {"current": 2}))
    following = Keyring.load(tmp_path / "next.json")
    assert following.unwrap(wrapped, "certificate/1") == data_key
    assert following.wrap(data_key, "certificate/1").generation == 2
    with pytest.raises(SealError):
        again.unwrap(following.wrap(data_key, "certificate/1"), "certificate/1")
    with pytest.raises(SealError):
        following.unwrap(WrappedKey(generation=2, wrapped=wrapped.wrapped), "certificate/1")


def test_key_files_are_for_their_owner_alone_and_never_replaced(tmp_path):
    Keyring.create(tmp_path / "keys.json")
    create_key(tmp_path / "mac.key")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Keyring.create(tmp_path / "keys.json")
    with pytest.raises(FileExistsError):
        create_key(tmp_path / "mac.key")
    assert len(load_key(tmp_path / "mac.key")) == 32


KILLED_BEFORE_THE_DISK_HAS_IT = """
import os, pathlib, signal, sys
from tomoni.secret_files import write_secret
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
write_secret(pathlib.Path(sys.argv[1]), b"secret")
"""


def test_a_key_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "log-2.key"
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_DISK_HAS_IT, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("log-*.key")) == []
    write_secret(path, b"secret")
    assert read_secret(path) == b"secret"


def test_a_key_that_others_can_read_is_refused(tmp_path):
    create_key(tmp_path / "mac.key")
    (tmp_path / "mac.key").chmod(0o640)
    with pytest.raises(SecretFileError, match="readable by others"):
        read_secret(tmp_path / "mac.key")


@pytest.mark.parametrize("content", [b"", b"AAAA", b"not base64!", b"\xff"])
def test_a_file_that_is_no_key_is_refused_without_showing_it(tmp_path, content):
    write_secret(tmp_path / "mac.key", content)
    with pytest.raises(SecretFileError) as refused:
        load_key(tmp_path / "mac.key")
    assert "base64!" not in str(refused.value)
    with pytest.raises(SecretFileError, match="cannot be read"):
        load_key(tmp_path / "missing.key")


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"current": 1, "generations": {}}',
        b'{"current": 2, "generations": {"1": "' + b"A" * 43 + b'="}}',
        b'{"current": 1, "generations": {"1": "AAAA"}}',
        b"\xff",
    ],
)
def test_a_file_that_is_no_keyring_is_refused(tmp_path, content):
    write_secret(tmp_path / "keys.json", content)
    with pytest.raises(SecretFileError):
        Keyring.load(tmp_path / "keys.json")


def test_nothing_of_the_vault_shows_in_a_repr():
    at = "2026-11-23T03:00:00.000000Z"
    shown = [
        AccessRecord(who="clerk-1", what="certificate.issue", at=at),
        DocumentRecord(handle="7K3MQ9TX0VWC52HB9F", document="a" * 64, at=at),
        Answer(status=201, media_type="application/json", body=b'{"handle":"7K3M"}', location="/v1"),
    ]
    assert [repr(one) for one in shown] == ["AccessRecord(…)", "DocumentRecord(…)", "Answer(status=201)"]
