import pytest

from tests.relay.nodes import opened
from tests.transport.hubs import running_hub


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def town(database):
    async with opened(database) as node:
        yield node
