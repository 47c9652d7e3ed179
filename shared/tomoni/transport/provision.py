"""Making the streams and their durable consumers: what the provisioner does, and nothing changes afterwards.

Only creation is used: a stream that exists with the same configuration is left as it is, with another one it is an
error. STREAM.UPDATE with `max_msgs=2` would wipe a history in spite of `deny_delete` and `deny_purge`, so no user
of the hub may send it (docs/decisions/0023).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tomoni.transport.connection import Connection
from tomoni.transport.errors import TransportError
from tomoni.transport.subjects import EVENTS, HEARTBEATS, INTAKE, MAX_MESSAGE_BYTES, RECEIPTS

_NANOSECONDS: Final = 1_000_000_000
_NOT_FOUND: Final = (10014, 10059)
"""JetStream's codes for a consumer and a stream that are not there."""
SMALL_STREAM_BYTES: Final = 64 * 1024 * 1024
"""HEARTBEATS and RECEIPTS hold one small message a jurisdiction: 1,788 × 4 KiB, with room."""

Config = dict[str, object]


class ProvisionError(TransportError):
    """A stream or consumer cannot be looked at or made now."""


class OtherLimitsError(ProvisionError):
    """A stream or consumer is there with another configuration than ours."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the EVENTS stream holds before it pushes back, and on how many servers."""

    events_bytes: int = 1_500_000_000
    messages_per_jurisdiction: int = 200_000
    replicas: int = 1


class _Error(msgspec.Struct):
    err_code: int = 0


class _Answer(msgspec.Struct):
    error: _Error | None = None
    config: Config = {}


def stream_configs(limits: StreamLimits) -> list[Config]:
    """Return the configurations of the three streams, as STREAM.CREATE takes them."""
    common: Config = {
        "retention": "limits",
        "storage": "file",
        "num_replicas": limits.replicas,
        "max_msgs": -1,
        "max_age": 0,
        "duplicate_window": _NANOSECONDS // 10,
        "deny_delete": True,
        "allow_direct": True,
        "allow_rollup_hdrs": False,
        "allow_msg_ttl": False,
    }
    events: Config = {
        "name": EVENTS,
        "subjects": ["registry.events.*"],
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": limits.messages_per_jurisdiction,
        "max_bytes": limits.events_bytes,
        "max_msg_size": MAX_MESSAGE_BYTES,
        "max_consumers": 2,
        "deny_purge": True,
        "allow_atomic": True,
    }
    latest: Config = {
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_bytes": SMALL_STREAM_BYTES,
        "max_msg_size": 4096,
        "max_consumers": 2,
        "deny_purge": False,
        "allow_atomic": False,
    }
    return [
        common | events,
        common | latest | {"name": HEARTBEATS, "subjects": ["registry.heartbeats.*"]},
        common | latest | {"name": RECEIPTS, "subjects": ["registry.receipts.*"]},
    ]


def consumer_config(replicas: int = 1) -> Config:
    """Return the configuration of the federation's durable consumer, the same on EVENTS and HEARTBEATS."""
    return {
        "name": INTAKE,
        "durable_name": INTAKE,
        "deliver_policy": "all",
        "ack_policy": "all",
        "ack_wait": 30 * _NANOSECONDS,
        "max_ack_pending": 10_000,
        "max_deliver": -1,
        "replay_policy": "instant",
        "num_replicas": replicas,
    }


async def provision(connection: Connection, limits: StreamLimits) -> None:
    """Create what is missing; raise OtherLimitsError where something is there with another configuration.

    Raises other TransportErrors where nothing can be said or made: a cluster needs a majority, and for a new stream
    all its servers. Several may provision at once: the same stream made twice is one.
    """
    for config in stream_configs(limits):
        name = config["name"]
        found = await _info(connection, f"$JS.API.STREAM.INFO.{name}")
        if found is None:
            await _create(connection, f"$JS.API.STREAM.CREATE.{name}", config, f"the stream {name}")
        else:
            _require_same(config, found, f"the stream {name}")
    for stream in (EVENTS, HEARTBEATS):
        config, what = consumer_config(limits.replicas), f"the consumer {INTAKE} on {stream}"
        found = await _info(connection, f"$JS.API.CONSUMER.INFO.{stream}.{INTAKE}")
        if found is None:
            request = {"stream_name": stream, "config": config, "action": "create"}
            await _create(connection, f"$JS.API.CONSUMER.CREATE.{stream}.{INTAKE}", request, what)
        else:
            _require_same(config, found, what)


async def _info(connection: Connection, subject: str) -> Config | None:
    """Return the configuration of what is there, None where it is not. Creating anew would count its bytes twice."""
    answer = await _ask(connection, subject, b"")
    if answer.error is None:
        return answer.config
    if answer.error.err_code in _NOT_FOUND:
        return None
    raise ProvisionError(f"the hub does not say what is there (JetStream error {answer.error.err_code})")


async def _create(connection: Connection, subject: str, body: Mapping[str, object], what: str) -> None:
    answer = await _ask(connection, subject, msgspec.json.encode(body))
    if answer.error is not None:
        raise ProvisionError(f"{what} cannot be made as configured (JetStream error {answer.error.err_code})")


async def _ask(connection: Connection, subject: str, body: bytes) -> _Answer:
    answer = await connection.request(subject, body, timeout=10)
    return msgspec.json.decode(answer.data, type=_Answer)


def _require_same(wanted: Config, found: Config, what: str) -> None:
    """Compare what we set; the server leaves out what is zero or false, and adds defaults of its own."""
    others = sorted(key for key, value in wanted.items() if (found.get(key) or 0) != (value or 0))
    if others:
        raise OtherLimitsError(
            f"{what} is there with another {' and '.join(others)}. Nothing was changed: to have other limits, stop the "
            "hub, move its store away and start it; the nodes publish again from their last receipts"
        )
