"""A client of a federation: is this document valid, does it count here, and what has changed since.

    async with Client("https://federation.example", token) as federation:
        answer = await federation.status("131130", handle, purpose="counter")

Handles go out in bodies only and stand in no error of this package.
"""

from tomoni.client.answers import (
    Change,
    Completeness,
    Considered,
    ItemProblem,
    Reason,
    Recognition,
    Statistics,
    Status,
    Watch,
    WatchItem,
)
from tomoni.client.client import Client
from tomoni.client.errors import ClientError, FeedResetError, ProblemError, UnreachableError
from tomoni.client.questions import Document, RecognitionQuestion

__all__ = [
    "Change",
    "Client",
    "ClientError",
    "Completeness",
    "Considered",
    "Document",
    "FeedResetError",
    "ItemProblem",
    "ProblemError",
    "Reason",
    "Recognition",
    "RecognitionQuestion",
    "Statistics",
    "Status",
    "UnreachableError",
    "Watch",
    "WatchItem",
]
