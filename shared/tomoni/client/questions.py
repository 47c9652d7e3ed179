"""What is asked: documents by issuer and handle, which goes out in a body and is kept out of every representation."""

from datetime import date

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document as it is printed. The handle is its holder's secret."""

    issuer: str
    handle: str
    reference: str | None = None
    """With a watch: the caller's own name for it, by which the feed tells of it. No personal data belongs here."""

    def __repr__(self) -> str:
        return f"Document(issuer={self.issuer!r}, handle=…)"


class RecognitionQuestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a document counts at a receiver for a service on a day in Japan (today)."""

    issuer: str
    handle: str
    receiver: str
    service: str
    on: date | None = None

    def __repr__(self) -> str:
        return f"RecognitionQuestion(issuer={self.issuer!r}, handle=…, receiver={self.receiver!r})"
