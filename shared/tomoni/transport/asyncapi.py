"""The NATS side of the system as an AsyncAPI 3.0 document, made from the subjects, headers and events themselves."""

from typing import Final, get_args

import msgspec

from tomoni.events import MAX_ENTRY_BYTES, JurisdictionEvent
from tomoni.receipt_keys import HEADER as RECEIPT_KEYS_HEADER
from tomoni.transport.subjects import (
    EVENTS,
    HEARTBEATS,
    KIND_HEADER,
    MAX_BATCH_MESSAGES,
    POSITION_HEADER,
    RECEIPTS,
    Kind,
    events_subject,
    heartbeats_subject,
    receipts_subject,
)

Json = dict[str, object]

_CODE: Final = "{code}"
_NOTE: Final[Json] = {
    "type": "string",
    "description": "A signed note (C2SP signed-note): origin, size and root hash a line each, blank line, signatures.",
}
_RECEIPT_HEADERS: Final[Json] = {
    "type": "object",
    "properties": {
        RECEIPT_KEYS_HEADER: {
            "type": "string",
            "description": (
                "Once the key for receipts was rotated: every rotation, oldest first, as a JSON array of objects with "
                "`receipt_key`, `replaces`, `time` and `proofs`, the signatures of both keys."
            ),
        }
    },
}
_EXAMPLE_NOTE: Final = (
    "tomoni.example/131130\n5\nb/ZHoLSn+dYqWTAXNF6LUvx2toDGrHywhB+m+y+SHU4=\n\n— tomoni.example/131130 <base64>\n"
)


def describe() -> Json:
    """Return the document."""
    types, schemas = msgspec.json.schema_components(
        get_args(JurisdictionEvent), ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tomoni: registry nodes and the federation over NATS",
            "version": "1",
            "license": {"name": "Apache-2.0"},
            "description": (
                "Each jurisdiction has an account of its own on the hub and sees its own subjects only. What arrives "
                "is believed once a signed checkpoint proves it; positions are positions in a log, never sequences "
                "of a stream. docs/architecture.md explains the path."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "hub": {
                "host": "hub.example:4222",
                "protocol": "nats",
                "description": "nats-server with JetStream, `tomoni hub`; TLS 1.3.",
                "security": [{"$ref": "#/components/securitySchemes/nkey"}],
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "securitySchemes": {
                "nkey": {
                    "type": "asymmetricEncryption",
                    "description": "An nkey of the jurisdiction, named in its admission; it signs the hub's challenge.",
                }
            },
            "messages": _messages(list(types)),
            "schemas": schemas,
        },
    }


def _channels() -> Json:
    return {
        "events": _channel(
            events_subject(_CODE),
            ("entry", "checkpoint"),
            f"Stream {EVENTS}. Entries in order, each portion ending with the checkpoint over it: as one atomic batch "
            f"of up to {MAX_BATCH_MESSAGES} messages, or one by one. The first names the sequence that must be the "
            "last of the subject (`Nats-Expected-Last-Subject-Sequence`). No `Nats-Msg-Id`.",
        ),
        "heartbeats": _channel(
            heartbeats_subject(_CODE), ("heartbeat",), f"Stream {HEARTBEATS}, the last message of each subject."
        ),
        "receipts": _channel(
            receipts_subject(_CODE), ("receipt",), f"Stream {RECEIPTS}, the last message of each subject."
        ),
    }


def _channel(address: str, messages: tuple[str, ...], description: str) -> Json:
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/hub"}],
        "parameters": {"code": {"description": "Six-digit code of the jurisdiction.", "examples": ["131130"]}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operations() -> Json:
    said: list[tuple[str, str, str, str]] = [
        ("publishEvents", "send", "events", "A node's relay publishes its log."),
        ("publishHeartbeat", "send", "heartbeats", "A node's relay publishes the newest heartbeat."),
        ("takeReceipts", "receive", "receipts", "A node's relay reads the newest receipt and keeps it."),
        ("takeEvents", "receive", "events", "The federation mirrors, proves and projects every log."),
        ("takeHeartbeats", "receive", "heartbeats", "The federation learns how fresh a proven history is."),
        ("giveReceipt", "send", "receipts", "The federation says what it has proven and kept."),
    ]
    return {
        name: {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
        for name, action, channel, summary in said
    }


def _messages(types: list[Json]) -> Json:
    cosigned = "with a timestamped cosignature (C2SP cosignature/v1)"
    return {
        "entry": {
            "summary": "One entry of a log: the exact bytes of one CloudEvent, canonical JSON (RFC 8785).",
            "description": f"At most {MAX_ENTRY_BYTES} bytes. A type that is not listed makes its subject unknown.",
            "contentType": "application/cloudevents+json",
            "headers": _headers(Kind.ENTRY, "The entry's position in the log, from 0."),
            "payload": {"oneOf": types},
        },
        "checkpoint": _note("A signed checkpoint of the log.", _headers(Kind.CHECKPOINT, "The checkpoint's size.")),
        "heartbeat": _note(f"The checkpoint of the committed head {cosigned} by the node's heartbeat key.", None),
        "receipt": _note(
            f"A proven checkpoint {cosigned} by the federation: proven and kept at that time.", _RECEIPT_HEADERS
        ),
    }


def _note(summary: str, headers: Json | None) -> Json:
    message: Json = {
        "summary": summary,
        "contentType": "text/plain; charset=utf-8",
        "payload": _NOTE,
        "examples": [{"name": "Shibuya", "payload": _EXAMPLE_NOTE}],
    }
    return message if headers is None else message | {"headers": headers}


def _headers(kind: Kind, position: str) -> Json:
    return {
        "type": "object",
        "required": [KIND_HEADER, POSITION_HEADER],
        "properties": {
            KIND_HEADER: {"const": kind.value},
            POSITION_HEADER: {"type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$", "description": position},
        },
    }
