"""Where a portion ends, when to publish again, and settings that cannot work: without hub or database."""

import pytest

from tests.relay.nodes import FEDERATION, ORIGIN, RECEIPTS
from tomoni import nkey
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import Checkpoint as TreeHead
from tomoni.tlog.checkpoint import sign_checkpoint
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni.transport import LastMessage
from tomoni.transport.subjects import KIND_HEADER, POSITION_HEADER
from tomoni_registry.relay.process import Lag
from tomoni_registry.relay.settings import HubConnection, RelaySettings, hub_endpoint, receipt_verifier
from tomoni_registry.relay.source import Checkpoint, Progress, Source, choose_end

OLD, NEW, STRANGER = generate_signer(ORIGIN), generate_signer(ORIGIN), generate_signer("witness.example")


def signed(size: int, *signers) -> Checkpoint:
    return Checkpoint(size, sign_checkpoint(TreeHead(ORIGIN, size, bytes(32)), signers or [OLD]))


@pytest.mark.parametrize(("sizes", "end"), [([], None), ([1], 1), ([1, 2, 3], 3)])
def test_a_portion_ends_at_the_largest_checkpoint_within_reach(sizes, end):
    chosen = choose_end([signed(size) for size in sizes], ORIGIN)
    assert (None if chosen is None else chosen.size) == end


@pytest.mark.parametrize(
    ("position", "sealed", "sizes", "end"),
    [
        (0, True, [], None),
        (0, True, [1, 500, 999], 999),
        (0, True, [1, 500, 999, 1000], 999),
        (500, True, [500, 501, 1499, 1500], 1499),
        (500, False, [500], 500),
        (500, True, [500], None),
        (500, False, [500, 600], 600),
        (0, True, [1500, 1600], 1500),
        (0, True, [400, 1500], 400),
    ],
)
async def test_entries_and_the_checkpoint_over_them_fit_into_a_batch(town, position, sealed, sizes, end):
    done = 0
    for size in sizes:
        await town.append(size - done, sign_each=False)
        done = size
    source = Source(town.owner, ORIGIN)
    portion = await source.next_portion(Progress(position, sealed=sealed, sequence=0))
    assert (None if portion is None else portion.size) == end
    if portion is not None:
        assert [one.data for one in portion.messages[:-1]] == town.entries[position:end]


async def test_only_a_message_that_is_byte_for_byte_ours_is_recognised(town):
    await town.append(3)
    note = await town.owner.fetchval("SELECT note FROM log.checkpoint WHERE size = 3")
    source = Source(town.owner, ORIGIN)

    async def recognised(data: bytes, kind: str, position: str) -> Progress | None:
        headers = {KIND_HEADER: kind, POSITION_HEADER: position}
        return await source.holds(LastMessage(sequence=9, data=data, headers=headers))

    assert await recognised(town.entries[1], "entry", "1") == Progress(2, sealed=False, sequence=9)
    assert await recognised(note, "checkpoint", "3") == Progress(3, sealed=True, sequence=9)
    for data, kind, position in (
        (town.entries[1], "entry", "2"),
        (town.entries[1] + b"!", "entry", "1"),
        (town.entries[1], "checkpoint", "1"),
        (town.entries[1], "entry", "7"),
        (town.entries[1], "entry", "+1"),
        (town.entries[1], "entry", ""),
        (town.entries[1], "", "1"),
        (note, "checkpoint", "2"),
        (note + b"!", "checkpoint", "3"),
    ):
        assert await recognised(data, kind, position) is None
    assert await source.holds(LastMessage(sequence=9, data=note, headers={})) is None


async def test_what_was_read_ahead_is_used_only_where_it_follows(town):
    for count in (600, 600, 600):
        await town.append(count, sign_each=False)
    source = Source(town.owner, ORIGIN)
    first = await source.next_portion(Progress(0, sealed=True, sequence=0))
    source.read_ahead(first)
    second = await source.next_portion(Progress(600, sealed=True, sequence=601))
    assert (first.size, second.size) == (600, 1200)
    source.read_ahead(second)
    assert await source.next_portion(Progress(0, sealed=True, sequence=0)) == first
    last = await source.next_portion(Progress(1200, sealed=True, sequence=0))
    source.read_ahead(last)
    await town.append(1)
    newest = await source.next_portion(Progress(1800, sealed=True, sequence=0))
    assert newest.size == 1801


def test_a_checkpoint_that_hands_over_to_the_next_key_is_never_passed_over():
    checkpoints = [signed(10), signed(20, OLD, NEW), signed(30, NEW)]
    chosen = choose_end(checkpoints, ORIGIN)
    assert chosen == checkpoints[1]


def test_a_witness_on_a_checkpoint_hands_over_nothing():
    assert choose_end([signed(10, OLD, STRANGER), signed(20)], ORIGIN) == signed(20)


def test_publishing_again_gets_rarer_until_a_receipt_comes():
    lag = Lag(10)
    assert [second for second in range(200) if lag.is_due(second)] == [10, 30, 70, 150]
    lag.progressed(200)
    assert [second for second in range(200, 260) if lag.is_due(second)] == [210, 230]


def settings(tmp_path, **changes) -> RelaySettings:
    seed_file = tmp_path / "node.nk"
    seed_file.write_text(nkey.generate_seed() + "\n")
    seed_file.chmod(0o600)
    fields = {
        "federation": FEDERATION,
        "code": "131130",
        "database": "postgresql:///x",
        "hub": HubConnection(servers=("nats://127.0.0.1:1",), seed_file=seed_file),
        "receipt_key": RECEIPTS.verifier.vkey,
    }
    return RelaySettings(**{**fields, **changes})


def test_right_settings_are_taken_and_show_no_seed(tmp_path):
    given = settings(tmp_path)
    endpoint = hub_endpoint(given)
    assert endpoint.seed == given.hub.seed_file.read_text().strip()
    assert endpoint.seed not in repr(endpoint)
    assert (endpoint.inbox, endpoint.tls) == ("_INBOX.131130", None)
    assert receipt_verifier(given).name == f"{FEDERATION}/receipts"


@pytest.mark.parametrize(
    "key",
    ["x", generate_cosigner("other/receipts").verifier.vkey, OLD.verifier.vkey],
    ids=["junk", "of another name", "of another type"],
)
def test_a_wrong_receipt_key_is_refused(tmp_path, key):
    with pytest.raises(SettingsError, match="receipt_key"):
        receipt_verifier(settings(tmp_path, receipt_key=key))


def test_a_wrong_transport_key_is_refused_without_showing_it(tmp_path):
    missing = HubConnection(servers=("nats://127.0.0.1:1",), seed_file=tmp_path / "absent")
    with pytest.raises(SettingsError, match="cannot be read"):
        hub_endpoint(settings(tmp_path, hub=missing))
    broken = tmp_path / "broken.nk"
    write_secret(broken, b"SUSECRET")
    with pytest.raises(SettingsError, match="holds no nkey seed") as raised:
        hub_endpoint(settings(tmp_path, hub=HubConnection(servers=("nats://x",), seed_file=broken)))
    assert "SUSECRET" not in str(raised.value)


def test_a_transport_key_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "open.nk"
    file.write_text(nkey.generate_seed())
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="readable by others"):
        hub_endpoint(settings(tmp_path, hub=HubConnection(servers=("nats://127.0.0.1:1",), seed_file=file)))


def test_tls_needs_an_authority_that_can_be_read(tmp_path):
    seed_file = tmp_path / "node.nk"
    secure = HubConnection(servers=("tls://hub.example:4222",), seed_file=seed_file, ca_file=tmp_path / "absent")
    with pytest.raises(SettingsError, match="ca_file"):
        hub_endpoint(settings(tmp_path, hub=secure))
    trusting = HubConnection(servers=("tls://hub.example:4222",), seed_file=seed_file)
    assert hub_endpoint(settings(tmp_path, hub=trusting)).tls is not None
