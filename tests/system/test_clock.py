"""A node on a machine whose clock is a day off, with every process real."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.system.test_healing import Town, town, until
from tomoni_cli.demo.towns import SHIBUYA


@contextmanager
def clock_off(shibuya: Town, days: int) -> Iterator[None]:
    """Run the node on a machine whose clock is off, and then on one whose clock is right."""
    node = shibuya.system.node(SHIBUYA)
    settings, arguments = shibuya.system.node_files(SHIBUYA).settings, node._arguments
    node.stop()
    node._arguments = [sys.executable, "-m", "tests.system.shifted_node", str(settings), str(days * 86_400)]
    node.start()
    node.wait_ready()
    yield
    node.stop()
    node._arguments = arguments
    node.start()
    node.wait_ready()


def status(shibuya: Town, handle: str) -> str:
    """Ask for a purpose that takes answers of five seconds' age."""
    body = {"issuer": SHIBUYA.code, "handle": handle, "purpose": "demo"}
    return str(shibuya.verifier.ask("/v1/status", body)["status"])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_clock_that_is_a_day_off_makes_nothing_fresher_is_told_of_and_mended_all_goes_on(folder: Path) -> None:
    with town(folder) as shibuya:
        system, relay = shibuya.system, shibuya.system.relay(SHIBUYA)

        def clock() -> str:
            return str(httpx.get(f"{relay.url}/health/ready", trust_env=False).json()["clock"])

        def told() -> list[str]:
            lines = system.federation.log.read_text().splitlines()
            return [line for line in lines if '"clock_wrong"' in line]

        shibuya.today -= timedelta(days=1)
        for number, days in enumerate((1, -1), 1):
            with clock_off(shibuya, days):
                until(lambda: clock() == "failing", "the relay says that the clock is wrong")
                until(lambda count=number: len(told()) == count, "the federation says so, once")
                _, handle = shibuya.issue()
                shibuya.require_proven()  # what is entered is not concerned
                until(lambda handle=handle: status(shibuya, handle) == "unknown", "no heartbeat makes it fresh")
            until(lambda: clock() == "ok", "the clock is right again")
            until(lambda handle=handle: status(shibuya, handle) == "valid", "it is fresh again")
