"""What can go wrong with a question, as classes a caller can tell apart."""

from collections.abc import Mapping


class ClientError(Exception):
    """Whatever this package raises of its own."""


class UnreachableError(ClientError):
    """The federation did not answer, or only that it cannot right now, after all attempts.

    Nothing is known: ask again later, and take a document as unknown until then, never as valid.
    """


class ProblemError(ClientError):
    """The federation refused, with problem details (RFC 9457): `kind` is stable, `detail` says what to do."""

    def __init__(self, kind: str, title: str, status: int, detail: str, fields: Mapping[str, str | int]) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.title = title
        self.status = status
        self.detail = detail
        self.fields = fields


class FeedResetError(ClientError):
    """The feed no longer reaches back to where this follower was: read the watch from its beginning."""
