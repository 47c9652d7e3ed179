"""The relay: publishes a node's log to the hub, in order and exactly once, and keeps the federation's receipts.

A process of its own, with a role of its own: it reads the log, writes receipts, and holds no key but its transport
key. It remembers nothing that it can derive: where it is stands on the hub, and what it compares with in the log.
"""

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder of this schema's migrations, applied by the owner after the event store's."""
