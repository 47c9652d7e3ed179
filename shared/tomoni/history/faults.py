"""The two ways in which a proven entry can be wrong."""


class IllegalError(Exception):
    """A proven entry is no legal event of its log: its signer contradicts the protocol, and that is evidence."""


class InapplicableError(Exception):
    """A proven and legal event does not fit what came before: the log stops here, since skipping could skip an end."""


class HandlerError(Exception):
    """A handler failed on an entry: a fault of this software, which must not pass over it. The cause is the error."""

    def __init__(self, log: str, position: int) -> None:
        super().__init__(f"a handler failed on entry {position} of {log}")
        self.log = log
        self.position = position
