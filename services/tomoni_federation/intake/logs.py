"""What a batch of intake knows of each log: what the database holds of it, and what came."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tomoni.tlog.merkle import CompactRange
from tomoni.tlog.succession import Key
from tomoni_federation.intake.clocks import Beat


@dataclass(frozen=True, slots=True)
class Checked:
    """A checkpoint rightly signed; it awaits its entries."""

    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """A checkpoint whose root was computed from the entries, with the compact range of its size as bytes."""

    size: int
    root: bytes
    note: bytes
    compact: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat rightly signed; `as_of` is the earlier of the node's time and the time at which it was heard."""

    size: int
    root: bytes
    as_of: datetime
    note: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A rightly signed word about a size that is proven already, to be compared with the history."""

    size: int
    root: bytes
    note: bytes
    heartbeat: Heartbeat | None = None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two notes by the same log that cannot both be true."""

    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class Retired:
    """A word about a size by a key that was replaced: it may be an old one of the history, or a thief's."""

    size: int
    root: bytes
    log_key: str
    note: bytes


class Branch(NamedTuple):
    """The history that counts of a log that was readmitted: its root at a size."""

    size: int
    root: bytes


@dataclass(slots=True)
class Log:
    """One log under way: what the database holds of it, changed by `take`."""

    code: str
    origin: str
    keys: list[Key]
    heartbeat_key: str
    range: CompactRange
    branch: Branch | None = None
    """What the history must be at a size, if it is readmitted with a branch that we did not hold."""
    provisional: dict[int, bytes] = field(default_factory=dict[int, bytes])
    awaited: dict[int, Checked] = field(default_factory=dict[int, Checked])
    heartbeats: list[Heartbeat] = field(default_factory=list[Heartbeat])
    remembered: bool = False
    """Whether the three above came from the database."""
    stored: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """The provisional entries that the database holds."""

    entries: list[bytes] = field(default_factory=list[bytes])
    """Newly proven, from `first` on."""
    first: int = 0
    leaves: list[bytes] = field(default_factory=list[bytes])
    """Their leaf hashes."""
    proven: list[Proven] = field(default_factory=list[Proven])
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Roots computed on the way, by size."""
    claims: list[Claim] = field(default_factory=list[Claim])
    contradictions: list[Contradiction] = field(default_factory=list[Contradiction])
    retired: Retired | None = None
    """One word by a key that was replaced; whoever signs a thousand costs us what one costs."""
    junk: int = 0
    """Messages dropped because nobody entitled could have sent them."""
    beats: list[Beat] = field(default_factory=list["Beat"])
    """Heartbeats rightly signed, to compare clocks by."""
    mismatches: int = 0
    repeats: bool = False
    """Whether a checkpoint came that was proven before: its relay may lack the receipt for it."""

    def __post_init__(self) -> None:
        self.first = self.range.size

    @property
    def has_gap(self) -> bool:
        """Whether something later came and the next entry did not: its relay is further than we are."""
        waiting = bool(self.provisional or self.awaited or self.heartbeats)
        return waiting and self.range.size not in self.provisional
