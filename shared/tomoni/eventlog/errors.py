"""What can go wrong with the event store, as classes a caller can tell apart."""


class EventLogError(Exception):
    """Whatever the event store raises of its own."""


class VersionConflict(EventLogError):  # noqa: N818  # the field's word
    """A stream is not at the version a command expects: read again, decide again."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__("a stream is not at the version expected")
        self.subject = subject
        self.expected = expected
        self.actual = actual


class LogUnavailable(EventLogError):  # noqa: N818
    """The database cannot be reached: nothing was written. Try again later."""


class Overloaded(LogUnavailable):
    """More commands wait than may: nothing was written. Try again later."""


class WritesRefused(LogUnavailable):
    """The database answers, and takes no writes: nothing was written. Try again when it does."""


class OutcomeUnknown(EventLogError):  # noqa: N818
    """The connection was lost after the command was sent, and did not come back in time.

    It may be stored. Send it again with the same command id: it is stored once, and the answer says where.
    """


class CorruptLog(EventLogError):  # noqa: N818
    """Stored rows contradict each other: somebody changed them behind the log's back, or a disk did."""


class SigningRefused(EventLogError):  # noqa: N818
    """A checkpoint is not signed, because it could contradict one that this log has signed before."""


class BehindLastWord(SigningRefused):
    """The log once signed a larger size than the database holds: an old backup was restored, or a machine cloned.

    The missing tail stands in the federation's mirror: append those very entries again, then signing goes on.
    """

    def __init__(self, size: int, signed: int) -> None:
        super().__init__(f"the database holds {size} entries, but a checkpoint of size {signed} was signed")
        self.size = size
        self.signed = signed


class ForkedLog(SigningRefused):
    """At a size that was signed before, the database has another tree: its history was changed. Never sign over it."""

    def __init__(self, size: int) -> None:
        super().__init__(f"at size {size} the database's tree is not the one that was signed")
        self.size = size


class LastWordMissing(SigningRefused):
    """Checkpoints were signed, but the file with the last one is gone: nobody can say what was signed after them.

    Bring the file back, or write the newest checkpoint known anywhere (receipts, the hub) into its place.
    """


class InvalidCheckpoint(SigningRefused):
    """A stored checkpoint, or the last word, is not signed by a key that this log has for its size."""


class Overtaken(SigningRefused):
    """Another process has signed in the meantime: look again at what it was."""


class NotChecked(SigningRefused):
    """The database was not yet compared with what is known to be signed: call `check` first."""
