"""Making streams once, and never changing them."""

import pytest

from tests.transport.hubs import Hub
from tomoni.transport import Connection
from tomoni.transport.provision import ProvisionError, StreamLimits, consumer_config, provision, stream_configs


async def test_provisioning_again_changes_nothing(hub):
    for _ in range(3):
        await hub.provision()
    assert hub.server.pid > 0


@pytest.mark.parametrize(
    "limits",
    [StreamLimits(messages_per_jurisdiction=2), StreamLimits(events_bytes=1_000_000), StreamLimits(replicas=3)],
)
async def test_other_limits_for_a_stream_that_is_there_are_an_error(hub: Hub, limits: StreamLimits):
    async with Connection(hub.provisioner_endpoint()) as connection:
        await connection.wait_connected(10)
        with pytest.raises(ProvisionError, match="EVENTS is there with another"):
            await provision(connection, limits)


async def test_more_than_the_account_may_hold_is_an_error(tmp_path):
    hub = Hub(tmp_path / "hub", ["131130"], StreamLimits(events_bytes=3_000_000_000))
    with pytest.raises(ProvisionError, match="cannot be made"):
        await hub.__aenter__()
    await hub.server.close()


def test_the_streams_are_as_the_design_says():
    events, heartbeats, receipts = stream_configs(StreamLimits())
    assert all(one["deny_delete"] and one["allow_direct"] and one["storage"] == "file" for one in (events, receipts))
    assert (events["discard"], events["discard_new_per_subject"], events["allow_atomic"]) == ("new", True, True)
    assert heartbeats["max_msgs_per_subject"] == receipts["max_msgs_per_subject"] == 1
    assert all(not one["allow_rollup_hdrs"] and not one["allow_msg_ttl"] for one in (events, heartbeats, receipts))
    assert (consumer_config()["ack_policy"], consumer_config()["max_ack_pending"]) == ("all", 10_000)
