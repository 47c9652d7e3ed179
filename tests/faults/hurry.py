"""Times that are long for a test, and sizes of what is done at once that would hide steps from it."""

import importlib

QUICKLY = {
    "tomoni.eventlog.wakeup.POLL_SECONDS": 0.2,
    "tomoni.eventlog.tree.CHUNK": 3,
    "tomoni.eventlog.publisher.MAX_STEP": 3,
    "tomoni.transport.client._RECONNECT_SECONDS": 0.02,
    "tomoni.transport.connection._WATCH_SECONDS": 0.02,
    "tomoni.transport.connection.REBUILD_SECONDS": 1.0,
    "tomoni_registry.relay.process.POLL_SECONDS": 0.1,
    "tomoni_registry.relay.process.QUIET_SECONDS": 0.3,
    "tomoni_federation.intake.work.RETRY_SECONDS": 0.05,
    "tomoni_federation.intake.work.PAUSE_SECONDS": 0.0,
}


def hurry() -> None:
    """Set all of it, for good: this process is a test's own."""
    for path, value in QUICKLY.items():
        module, _, name = path.rpartition(".")
        setattr(importlib.import_module(module), name, value)
