"""Subjects, streams and headers: the whole vocabulary between nodes, hub and federation (design §6)."""

import re
from enum import StrEnum
from typing import Final

EVENTS: Final = "EVENTS"
HEARTBEATS: Final = "HEARTBEATS"
RECEIPTS: Final = "RECEIPTS"
INTAKE: Final = "intake"
"""The federation's durable consumer on EVENTS and on HEARTBEATS."""

KIND_HEADER: Final = "Tomoni-Kind"
POSITION_HEADER: Final = "Tomoni-Position"

MAX_MESSAGE_BYTES: Final = 65_536
MAX_BATCH_MESSAGES: Final = 1_000
MAX_BATCH_ENTRIES: Final = MAX_BATCH_MESSAGES - 1
"""The last message of a batch is the checkpoint over its entries."""

_SUBJECT = re.compile(r"registry\.(?:events|heartbeats|receipts)\.([0-9]{6})", re.ASCII)


class Kind(StrEnum):
    """What a message of `registry.events.<code>` carries, in the header `Tomoni-Kind`."""

    ENTRY = "entry"
    """The exact bytes of one entry; `Tomoni-Position` is its position."""
    CHECKPOINT = "checkpoint"
    """A signed checkpoint note; `Tomoni-Position` is its size."""


def events_subject(code: str) -> str:
    """Return the subject of a jurisdiction's entries and checkpoints."""
    return f"registry.events.{code}"


def heartbeats_subject(code: str) -> str:
    """Return the subject of a jurisdiction's heartbeats."""
    return f"registry.heartbeats.{code}"


def receipts_subject(code: str) -> str:
    """Return the subject of the receipts that the federation gives a jurisdiction."""
    return f"registry.receipts.{code}"


def code_of(subject: str) -> str | None:
    """Return the jurisdiction whose subject this is, or None where it is none of ours."""
    match = _SUBJECT.fullmatch(subject)
    return match.group(1) if match else None


def direct_get_subject(stream: str, subject: str) -> str:
    """Return the API subject that answers with the last message of a subject, in reach of its owner alone."""
    return f"$JS.API.DIRECT.GET.{stream}.{subject}"


def node_inbox(code: str) -> str:
    """Return the inbox prefix of a node; no other user may listen there."""
    return f"_INBOX.{code}"


FEDERATION_INBOX: Final = "_INBOX.federation"
PROVISIONER_INBOX: Final = "_INBOX.provisioner"
PROVISIONER_SUBJECTS: Final = (
    *(f"$JS.API.STREAM.{verb}.{stream}" for verb in ("CREATE", "INFO") for stream in (EVENTS, HEARTBEATS, RECEIPTS)),
    *(f"$JS.API.CONSUMER.{verb}.{stream}.{INTAKE}" for verb in ("CREATE", "INFO") for stream in (EVENTS, HEARTBEATS)),
)
"""All that the provisioner may send: it looks and creates, and neither changes nor deletes."""
FEDERATION_SUBJECTS: Final = (
    *(
        subject
        for stream in (EVENTS, HEARTBEATS)
        for subject in (
            f"$JS.API.CONSUMER.RESET.{stream}.{INTAKE}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{INTAKE}",
            f"$JS.ACK.{stream}.{INTAKE}.>",
        )
    ),
    f"$JS.API.DIRECT.GET.{EVENTS}",
    "registry.receipts.*",
)
"""All that the federation may send."""


def node_subjects(code: str) -> tuple[str, ...]:
    """Return all that a node may send: its own entries and heartbeats, and reading its own last messages."""
    return (
        events_subject(code),
        heartbeats_subject(code),
        direct_get_subject(EVENTS, events_subject(code)),
        direct_get_subject(HEARTBEATS, heartbeats_subject(code)),
        direct_get_subject(RECEIPTS, receipts_subject(code)),
    )
