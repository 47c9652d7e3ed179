"""The courier: NATS subjects, connection, atomic batches and pull consumption. nats-py is used nowhere else.

PostgreSQL is the truth; whatever happens here, a relay can publish again from the last receipt.
"""

from tomoni.transport.connection import Connection, Endpoint, Message, pinned_tls_context, tls_context
from tomoni.transport.consume import PullConsumer, RawMessage
from tomoni.transport.errors import (
    ConnectionClosedError,
    DeniedError,
    LostDeliveryError,
    NoAnswerError,
    NoRespondersError,
    NotConnectedError,
    TransportError,
)
from tomoni.transport.publish import (
    BatchRefused,
    Committed,
    Full,
    LastMessage,
    Outcome,
    Outgoing,
    Refused,
    Stale,
    TooLarge,
    Unknown,
    last_message,
    publish_batch,
    publish_one,
)
from tomoni.transport.servers import tls_for
from tomoni.transport.subjects import Kind, events_subject, heartbeats_subject, receipts_subject

__all__ = [
    "BatchRefused",
    "Committed",
    "Connection",
    "ConnectionClosedError",
    "DeniedError",
    "Endpoint",
    "Full",
    "Kind",
    "LastMessage",
    "LostDeliveryError",
    "Message",
    "NoAnswerError",
    "NoRespondersError",
    "NotConnectedError",
    "Outcome",
    "Outgoing",
    "PullConsumer",
    "RawMessage",
    "Refused",
    "Stale",
    "TooLarge",
    "TransportError",
    "Unknown",
    "events_subject",
    "heartbeats_subject",
    "last_message",
    "pinned_tls_context",
    "publish_batch",
    "publish_one",
    "receipts_subject",
    "tls_context",
    "tls_for",
]
