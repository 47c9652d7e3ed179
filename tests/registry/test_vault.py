import os
import signal
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.secret_files import SecretFileError, read_secret, write_secret
from tomoni_registry.vault.answers import Answer
from tomoni_registry.vault.keyring import Keyring, list_keys, make_next
from tomoni_registry.vault.records import AccessRecord, DocumentRecord
from tomoni_registry.vault.sealing import (
    SealError,
    WrappedKey,
    create_key,
    load_key,
    new_key,
    seal,
    unseal,
)

TODAY = date(2026, 11, 28)
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
    first = Keyring.create(tmp_path)
    data_key = new_key()
    wrapped = first.wrap(data_key, "certificate/1")
    assert wrapped.generation == 1
    again = Keyring(tmp_path)
    assert again.unwrap(wrapped, "certificate/1") == data_key
    with pytest.raises(SealError):
        again.unwrap(wrapped, "certificate/2")

    following = make_next(tmp_path, 2)
    assert first.wrap(data_key, "certificate/1").generation == 1
    following.become("key", TODAY)
    newer = first.wrap(data_key, "certificate/1")
    assert newer.generation == 2
    assert again.unwrap(newer, "certificate/1") == again.unwrap(wrapped, "certificate/1") == data_key
    with pytest.raises(SealError):
        first.unwrap(WrappedKey(generation=2, wrapped=wrapped.wrapped), "certificate/1")


def test_a_destroyed_key_opens_nothing_also_where_it_was_open_before(tmp_path):
    keyring = Keyring.create(tmp_path)
    wrapped = keyring.wrap(new_key(), "certificate/1")
    secret = (tmp_path / "vault-1.key").read_bytes()
    make_next(tmp_path, 2).become("key", TODAY)
    retired = list_keys(tmp_path)[1].become("retired", TODAY)
    assert keyring.unwrap(wrapped, "certificate/1")
    disk = os.open(retired.path, os.O_RDONLY)  # as a second name of the file, or who reads the disk, would see it
    retired.become("destroyed", TODAY).overwrite()
    assert os.pread(disk, len(secret), 0) == b""
    os.close(disk)
    with pytest.raises(SealError, match="not in the keys folder"):
        keyring.unwrap(wrapped, "certificate/1")
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"vault-1.destroyed-{TODAY}", "vault-2.key"]


def test_a_destroyed_key_that_was_copied_back_is_refused(tmp_path):
    Keyring.create(tmp_path)
    (tmp_path / f"vault-1.destroyed-{TODAY}").touch()
    with pytest.raises(SecretFileError, match="take away the copied one"):
        Keyring(tmp_path)


def test_key_files_are_for_their_owner_alone_and_never_replaced(tmp_path):
    Keyring.create(tmp_path)
    create_key(tmp_path / "mac.key")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Keyring.create(tmp_path)
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


def test_a_folder_without_a_key_in_use_is_refused(tmp_path):
    make_next(tmp_path, 1)
    with pytest.raises(SecretFileError, match="put it back"):
        Keyring(tmp_path)
    write_secret(tmp_path / "vault-2.key", b"AAAA")
    with pytest.raises(SecretFileError, match="not a key"):
        Keyring(tmp_path)


def test_nothing_of_the_vault_shows_in_a_repr():
    at = "2026-11-23T03:00:00.000000Z"
    shown = [
        AccessRecord(who="clerk-1", what="certificate.issue", at=at),
        DocumentRecord(handle="7K3MQ9TX0VWC52HB9F", document="a" * 64, at=at),
        Answer(status=201, media_type="application/json", body=b'{"handle":"7K3M"}', location="/v1"),
    ]
    assert [repr(one) for one in shown] == ["AccessRecord(…)", "DocumentRecord(…)", "Answer(status=201)"]
