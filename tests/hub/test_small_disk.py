"""A hub whose disk is full: towns are pushed back, and it goes on when there is room again, without anybody's help."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.small_disk import fill, small_folder
from tests.hub.logs import FederationLog, admitted
from tests.hub.test_process import CODE, endpoint, pair, settings_for
from tests.transport.hubs import until
from tomoni.transport import (
    Committed,
    Connection,
    Outgoing,
    TransportError,
    events_subject,
    last_message,
    publish_one,
)
from tomoni.transport.subjects import EVENTS
from tomoni_federation.hub.nats_server import ServerError
from tomoni_federation.hub.process import Hub

MESSAGE = Outgoing(b"x" * 50_000, {})


@contextmanager
def no_room(hub: Hub, folder: Path, *, mounted: bool) -> Iterator[None]:
    """Fill the disk; where it is not one of its own, let the server make no new file, which root could all the same."""
    if mounted:
        fill(folder / "filler")
        yield
        (folder / "filler").unlink()
    else:
        store = hub._settings.folder / "js" / "jetstream" / "HUB" / "streams" / "EVENTS" / "msgs"
        store.chmod(0o500)
        yield
        store.chmod(0o700)


async def test_a_hub_with_a_full_disk_loses_nothing_and_takes_messages_again_when_there_is_room():
    log, (seed, key) = FederationLog(), pair()
    log.entries.append(admitted(CODE, key))
    with small_folder(64) as (folder, mounted):
        hub = Hub(settings_for(log, folder / "hub"), [CODE], log.fetch)
        async with hub.running(), Connection(endpoint(hub, seed)) as connection:
            await connection.wait_connected(10)

            async def stored(expected: int) -> bool:
                outcome = await publish_one(connection, events_subject(CODE), MESSAGE, expected, timeout=1)
                return outcome == Committed(expected + 1)

            async def last() -> int:
                found = await last_message(connection, EVENTS, events_subject(CODE))
                return 0 if found is None else found.sequence

            count = 0
            with no_room(hub, folder, mounted=mounted):
                while await stored(count):
                    count += 1
                with pytest.raises(ServerError):
                    await hub.server.require_healthy()

            async def goes_on() -> bool:
                try:
                    await connection.wait_connected(30)
                    held = await last()
                    assert held >= count
                    return await stored(held)
                except TransportError:
                    return False

            await until(goes_on)
            await hub.server.require_healthy()
