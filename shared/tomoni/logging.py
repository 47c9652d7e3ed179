"""Log lines: JSON by structlog, with an allow-list of keys, so that no handle, name or reason can stand in one.

A line is an event name and facts about the machine, never about people. Keys that are not on the list are dropped
and counted; exceptions are logged by class, without their text and without local variables.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

ALLOWED_KEYS: Final = frozenset(
    {
        "event", "level", "timestamp", "service", "logger",
        "address", "attempt", "batch", "code", "count", "error", "file", "kind", "module", "pid", "port", "position",
        "reason_code", "route", "seconds", "signal", "size", "sqlstate", "state", "status", "stream", "subject_kind",
        "wanted",
    }
)  # fmt: skip
"""What a line may say. `reason_code` is a fixed word of the software, never the reason of a person."""

EventDict = MutableMapping[str, Any]  # structlog's own type


def keep_allowed(_: object, __: str, line: EventDict) -> EventDict:
    """Drop keys that are not allowed, and say how many were dropped."""
    dropped = [key for key in line if key not in ALLOWED_KEYS]
    for key in dropped:
        del line[key]
    if dropped:
        line["count"] = line.get("count", len(dropped))
        line["reason_code"] = "keys_dropped"
    return line


def error_class(_: object, __: str, line: EventDict) -> EventDict:
    """Replace exception information by the exception's class: its text may repeat what was given."""
    info = line.pop("exc_info", None)
    if info:
        error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info  # pyright: ignore[reportUnknownVariableType]
        line["error"] = type(error).__name__  # pyright: ignore[reportUnknownArgumentType]
    return line


def configure(service: str, level: str = "INFO") -> None:
    """Send this process's lines to standard error as JSON, those of libraries included (class and logger only)."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            error_class,
            _add("service", service),
            keep_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _StandardError())),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def _add(key: str, value: str) -> structlog.typing.Processor:
    def processor(_: object, __: str, line: EventDict) -> EventDict:
        line[key] = value
        return line

    return processor


class _StandardError:
    """Standard error, often a file: where its disk is full a line is lost, and the service goes on."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _Bridge(logging.Handler):
    """Lines of libraries: their texts may hold arguments of queries or addresses with data, so only their origin."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().warning("library_message", logger=record.name, kind=record.levelname, error=error)
