"""The two ways in which a proven entry can be wrong."""


class IllegalError(Exception):
    """A proven entry is no legal event of its log: its signer contradicts the protocol, and that is evidence."""


class InapplicableError(Exception):
    """A proven and legal event does not fit what came before: the log stops here, since skipping could skip an end."""
