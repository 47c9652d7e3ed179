"""What can be wrong with a history: the first thing, where it is, and what should be there."""

from pathlib import PurePosixPath
from typing import Literal, Self

import msgspec

from tomoni.tlog.verify import Fault

FaultCode = Literal[
    "tree",
    "checkpoint",
    "receipt",
    "heartbeat",
    "admission",
    "event",
]
"""What is at fault: a tile or an entry's bytes; a signed word of the log; the federation's; the node's; who was
admitted with what; an entry that proves and is no legal event."""


class HistoryFault(msgspec.Struct, frozen=True, kw_only=True):
    """The first fault of a history.

    `position` is that of the entry, or the size that a note speaks of; None where no single place is at fault.
    """

    code: FaultCode
    path: str
    """The file, within the folder of logs."""
    position: int | None
    expected: str
    found: str

    @classmethod
    def of_tree(cls, code: str, fault: Fault) -> Self:
        """Return a fault of a log's files as one of a history."""
        path = str(PurePosixPath(code) / fault.path)
        return cls(code="tree", path=path, position=fault.position, expected=fault.expected, found=fault.found)


class HistoryFaultError(Exception):
    """A history is not what it must be; `fault` tells where."""

    def __init__(self, fault: HistoryFault) -> None:
        super().__init__(f"{fault.path}: expected {fault.expected}, found {fault.found}")
        self.fault = fault
