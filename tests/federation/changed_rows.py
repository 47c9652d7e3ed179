"""Rows of the mirror that somebody changed who owns the tables, or a disk."""

from dataclasses import dataclass

import pytest

from tests.federation.test_verify_mirror import town_of
from tests.federation.towns import Town

DATA = "UPDATE mirror.entry SET data = replace(encode(data, 'escape'), '2026', '2027')::bytea WHERE position"
CHANGED = f"{DATA} = 4"
BOTH = f"{CHANGED}; UPDATE mirror.entry SET leaf = sha256('\\x00'::bytea || data)"
LEAF = "UPDATE mirror.entry SET leaf = sha256('x') WHERE position = 4"


async def spoil(federation, sql, *arguments):
    """Change rows as only somebody can who owns the tables, or a disk."""
    await federation.as_owner("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await federation.as_owner(sql, *arguments)
    await federation.as_owner("ALTER TABLE mirror.entry ENABLE ALWAYS TRIGGER entries_stay")


@pytest.fixture
async def town(federation):
    """A town of nine entries, proven in three parts."""
    town = town_of("131130", 9)
    await federation.admit(town)
    for start, size in ((0, 3), (3, 6), (6, 9)):
        await federation.take(*town.messages(start, size))
    return town


@dataclass
class Ended:
    """A town whose only certificate has ended, proven and not projected yet."""

    town: Town
    handle: str


@pytest.fixture
async def ended(desk, shibuya):
    certificate, handle = shibuya.issue()
    shibuya.revoke(certificate)
    await desk.federation.receiver.events(shibuya.messages())
    await desk.federation.receiver.heartbeats([shibuya.heartbeat()])
    return Ended(shibuya, handle)


async def status(desk, ended):
    return (await desk.status(ended.town, ended.handle))["status"]
