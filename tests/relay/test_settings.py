"""The relay's settings: its metrics tell how large the log is, so they are not for everybody."""

from pathlib import Path

import pytest

from tomoni.service import HttpSettings
from tomoni.settings import SettingsError
from tomoni_registry.relay.process import run_relay
from tomoni_registry.relay.settings import HubConnection, RelaySettings


async def test_a_relay_does_not_listen_where_others_reach_it() -> None:
    settings = RelaySettings(
        federation="tomoni.example",
        code="131130",
        database="postgresql://nobody@127.0.0.1:1/none",
        hub=HubConnection(servers=("nats://127.0.0.1:1",), seed_file=Path("none")),
        receipt_key="none",
        http=HttpSettings(host="0.0.0.0", port=8401),
    )
    with pytest.raises(SettingsError, match="reachable from outside"):
        await run_relay(settings)
