"""Following the federation's log: only what a signed checkpoint proves, and never backwards."""

import pytest

from tests.hub.logs import ORIGIN, FederationLog, admitted, new_key, readmitted, suspended
from tomoni_cli.recover import FolderTail
from tomoni_federation.hub.follower import Follower, LogError
from tomoni_federation.hub.members import FoldError

A = "131130"


def following(log: FederationLog, tmp_path) -> Follower:
    return Follower(ORIGIN, log.verifier, log.fetch, tmp_path / "state" / "followed.json")


async def test_a_log_is_followed_over_bundle_borders_and_restarts(tmp_path):
    log, key = FederationLog(), new_key()
    follower = following(log, tmp_path)
    for size in (0, 1, 2, 255, 256, 257, 512, 700):
        log.entries += [admitted(A, key, len(log.entries) + 1) for _ in range(size - len(log.entries))]
        changed = await follower.advance()
        assert changed == (size == 1)
        assert follower.followed.size == size
        follower = following(log, tmp_path)
        assert follower.followed.size == size
    assert follower.followed.users == {A: (key,)}


async def test_nothing_is_fetched_twice(tmp_path):
    log = FederationLog([admitted(A, new_key(), n + 1) for n in range(600)])
    follower = following(log, tmp_path)
    await follower.advance()
    log.fetched.clear()
    await follower.advance()
    assert log.fetched == ["checkpoint"]


async def test_a_copy_of_the_log_is_kept_whole_from_checkpoint_to_checkpoint(tmp_path):
    log, folder = FederationLog(), tmp_path / "state" / "federation-log"
    for size in (3, 255, 256, 600, 601):
        log.entries += [admitted(A, new_key(), len(log.entries) + 1) for _ in range(size - len(log.entries))]
        await following(log, tmp_path).advance()
        entries, start = [], 0
        while start is not None:
            page = await FolderTail(folder).page(start)
            entries += page.entries
            start = page.after
        assert entries == log.entries
        assert [one.note for one in page.checkpoints] == [log.checkpoint()]
        assert sum(file.is_file() for file in folder.rglob("*")) == 1 + -(-size // 256)


async def test_a_restart_needs_no_federation(tmp_path):
    log, key = FederationLog(), new_key()
    log.entries.append(admitted(A, key))
    await following(log, tmp_path).advance()
    log.away = True
    again = following(log, tmp_path)
    with pytest.raises(OSError, match="away"):
        await again.advance()
    assert again.followed.users == {A: (key,)}


async def test_a_changed_entry_is_not_followed(tmp_path):
    log = FederationLog([admitted(A, new_key())])
    genuine = log.checkpoint()
    log.entries[0] = admitted(A, new_key())
    log.checkpoint = lambda: genuine
    follower = following(log, tmp_path)
    with pytest.raises(LogError):
        await follower.advance()
    assert follower.followed.users == {}
    assert not (tmp_path / "state" / "followed.json").exists()


async def test_a_rewritten_history_is_not_followed(tmp_path):
    log, key = FederationLog(), new_key()
    log.entries.append(admitted(A, key))
    follower = following(log, tmp_path)
    await follower.advance()
    log.entries = [admitted(A, new_key()), suspended(A)]
    with pytest.raises(LogError):
        await follower.advance()
    assert follower.followed.users == {A: (key,)}


async def test_another_history_of_the_same_size_is_not_followed(tmp_path):
    log = FederationLog([admitted(A, new_key())])
    follower = following(log, tmp_path)
    await follower.advance()
    log.entries = [admitted(A, new_key())]
    with pytest.raises(LogError):
        await follower.advance()


async def test_a_log_that_became_shorter_is_not_followed(tmp_path):
    log, key = FederationLog(), new_key()
    log.entries += [admitted(A, key), suspended(A)]
    follower = following(log, tmp_path)
    await follower.advance()
    log.entries.pop()
    with pytest.raises(LogError):
        await follower.advance()
    assert follower.followed.users == {}


async def test_a_checkpoint_of_another_signer_is_not_followed(tmp_path):
    log = FederationLog([admitted(A, new_key())])
    follower = Follower(ORIGIN, FederationLog().verifier, log.fetch, tmp_path / "followed.json")
    with pytest.raises(LogError):
        await follower.advance()


@pytest.mark.parametrize("meanwhile", [0, 1, 3])
async def test_the_logs_own_next_keys_are_followed_however_many_were_missed(tmp_path, meanwhile):
    log, key = FederationLog([admitted(A, new_key())]), new_key()
    follower = following(log, tmp_path)
    verifier = log.verifier
    await follower.advance()
    for _ in range(meanwhile + 1):
        log.rotate()
        log.entries.append(readmitted(A, key))
    await follower.advance()
    assert (follower.followed.size, follower.followed.users) == (len(log.entries), {A: (key,)})
    again = Follower(ORIGIN, verifier, log.fetch, tmp_path / "state" / "followed.json")
    log.entries.append(suspended(A))
    await again.advance()
    assert again.followed.users == {}


@pytest.mark.parametrize("by", ["old", "new"])
async def test_one_of_two_keys_alone_hands_nothing_over(tmp_path, by):
    log = FederationLog([admitted(A, new_key())])
    follower = following(log, tmp_path)
    await follower.advance()
    log.rotate(by=by)
    log.entries.append(suspended(A))
    with pytest.raises(LogError):
        await follower.advance()
    assert A in follower.followed.users


async def test_a_key_that_was_replaced_signs_nothing_more(tmp_path):
    log = FederationLog([admitted(A, new_key())])
    follower = following(log, tmp_path)
    await follower.advance()
    old = log.rotate()
    log.entries.append(readmitted(A, new_key()))
    await follower.advance()
    log.entries.append(suspended(A))
    log.signer = old
    with pytest.raises(LogError):
        await follower.advance()
    assert A in follower.followed.users


async def test_a_malformed_bundle_is_not_followed(tmp_path):
    log = FederationLog([admitted(A, new_key())])
    follower = following(log, tmp_path)

    async def fetch(path: str) -> bytes:
        return await log.fetch(path) if path == "checkpoint" else b"\x00\x05abc"

    follower._fetch = fetch
    with pytest.raises(LogError):
        await follower.advance()


async def test_a_log_with_an_entry_that_cannot_be_read_keeps_what_was_before(tmp_path):
    log, key = FederationLog(), new_key()
    log.entries.append(admitted(A, key))
    follower = following(log, tmp_path)
    await follower.advance()
    log.entries += [suspended(A), b"junk"]
    with pytest.raises(FoldError):
        await follower.advance()
    assert follower.followed.users == {A: (key,)}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"size":5,"range":""}', b'{"size":1,"range":"!!!"}'])
async def test_a_damaged_state_is_told_plainly(tmp_path, damage):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "followed.json").write_bytes(damage)
    with pytest.raises(LogError, match="damaged"):
        following(FederationLog(), tmp_path)
