"""A node's clock that is a day ahead or behind: it never makes an answer fresher than it is, and is told of."""

from datetime import timedelta

import pytest

from tests.federation.towns import NOW
from tomoni.transport.consume import RawMessage
from tomoni_federation.intake.clocks import Beat, Clocks

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def heard(town, *, node_time, stored_at):
    """Return a heartbeat as the hub delivers it, which says when it stored it."""
    stored = int(stored_at.timestamp() * 1_000_000_000)
    note = town.heartbeat(node_time).data
    return RawMessage(town.code, None, None, note, f"$JS.ACK.HEARTBEATS.intake.1.9.7.{stored}.0")


@pytest.mark.parametrize("delivered_after", [timedelta(0), DAY, 2 * DAY])
async def test_a_town_a_day_ahead_that_fell_silent_looks_no_fresher_when_its_time_comes(desk, shibuya, delivered_after):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    desk.federation.now = NOW + delivered_after  # nobody took anything from the hub until then
    await desk.federation.take(heartbeats=[heard(shibuya, node_time=NOW + DAY, stored_at=NOW + MINUTE)])
    desk.now = NOW + DAY + MINUTE
    answer = await desk.status(shibuya, handle)
    assert (answer["status"], answer["reason"], answer["fresh_as_of"]) == ("unknown", "stale", "2026-11-23T03:00:00Z")


async def test_a_town_a_day_behind_is_as_old_as_it_says_and_fresh_once_its_clock_is_mended(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.federation.take(*shibuya.messages())
    for at in (NOW, NOW + MINUTE):
        desk.now = desk.federation.now = at
        behind = heard(shibuya, node_time=at - DAY - MINUTE, stored_at=at)
        await desk.federation.take(heartbeats=[behind])
        assert (await desk.status(shibuya, handle))["status"] == "unknown"
    await desk.federation.take(heartbeats=[heard(shibuya, node_time=at + MINUTE, stored_at=at + MINUTE)])
    assert (await desk.status(shibuya, handle))["status"] == "valid"


def said(capsys):
    return [line.split("]")[1].split()[0] for line in capsys.readouterr().out.splitlines() if "clock" in line]


@pytest.mark.parametrize(("off", "at_once"), [(DAY, True), (-DAY, False), (timedelta(minutes=4), None)])
def test_a_clock_that_is_wrong_is_told_of_once_and_once_more_when_it_is_right(capsys, off, at_once):
    clocks = Clocks()
    for minutes in range(4):
        at = NOW + minutes * MINUTE
        for _ in range(2):  # the hub gives the last one again to who comes back
            clocks.compare("131130", Beat(at + off, at))
        if minutes == 0:
            assert (said(capsys) == ["clock_wrong"]) == (at_once is True)
    clocks.compare("131130", Beat(NOW + 5 * MINUTE, NOW + 5 * MINUTE))
    expected = [] if at_once is None else ["clock_right_again"] if at_once else ["clock_wrong", "clock_right_again"]
    assert said(capsys) == expected


def test_a_heartbeat_that_waited_for_a_day_is_no_clock_that_is_behind(capsys):
    clocks = Clocks()
    for node_time in (NOW - DAY, NOW, NOW + MINUTE):
        clocks.compare("131130", Beat(node_time, max(node_time, NOW)))
    assert said(capsys) == []
