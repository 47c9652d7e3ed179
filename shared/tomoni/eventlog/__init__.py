"""The event store on PostgreSQL: append, read, integrate, publish a checkpoint.

Schema `log` of a database holds exactly one log. Three stages, each of which can crash at any point and be run again:
the sequencer gives entries their positions, integration makes tiles of hashes of them, publishing signs checkpoints.
"""

from pathlib import Path

from tomoni.eventlog.checkpoints import CheckpointStore, Heartbeat, SignedCheckpoint
from tomoni.eventlog.commands import Append, Appended, NewEntry, Statement
from tomoni.eventlog.errors import EventLogError, LogUnavailable, OutcomeUnknown, SigningRefused, VersionConflict
from tomoni.eventlog.lastword import LastWord
from tomoni.eventlog.proofs import Proofs
from tomoni.eventlog.publisher import CheckpointPublisher, FixedKeys, LogKeys
from tomoni.eventlog.reader import Entry, EventReader
from tomoni.eventlog.routes import log_routes
from tomoni.eventlog.sequencer import Sequencer

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder of this schema's migrations, applied by the owner before the service's own."""

__all__ = [
    "MIGRATIONS",
    "Append",
    "Appended",
    "CheckpointPublisher",
    "CheckpointStore",
    "Entry",
    "EventLogError",
    "EventReader",
    "FixedKeys",
    "Heartbeat",
    "LastWord",
    "LogKeys",
    "LogUnavailable",
    "NewEntry",
    "OutcomeUnknown",
    "Proofs",
    "Sequencer",
    "SignedCheckpoint",
    "SigningRefused",
    "Statement",
    "VersionConflict",
    "log_routes",
]
