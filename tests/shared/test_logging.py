"""Log lines hold facts about the machine and nothing else."""

import json
import logging as standard_logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tomoni import logging


@pytest.fixture(autouse=True)
def _leave_no_configuration() -> Iterator[None]:
    handlers = standard_logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    standard_logging.root.handlers[:] = handlers


def _lines(capture: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capture.readouterr().err.splitlines()]


def test_a_line_is_json_with_the_service_and_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("registry")
    structlog.get_logger().info("checkpoint_signed", code="131130")
    (line,) = _lines(capsys)
    assert line["event"] == "checkpoint_signed"
    assert (line["service"], line["code"], line["level"]) == ("registry", "131130", "info")
    assert str(line["timestamp"]).endswith("Z")


def test_keys_that_are_not_allowed_are_dropped_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("registry")
    structlog.get_logger().info("issued", handle="7K3MQ9TX", name="髙橋", code="131130")
    text = capsys.readouterr().err
    assert "7K3MQ9TX" not in text
    assert "髙橋" not in text
    assert json.loads(text)["reason_code"] == "keys_dropped"


@pytest.mark.parametrize("how", ["flag", "object"])
def test_an_exception_is_logged_by_its_class_alone(capsys: pytest.CaptureFixture[str], how: str) -> None:
    logging.configure("registry")
    try:
        raise KeyError("髙橋")
    except KeyError as error:
        structlog.get_logger().error("failed", exc_info=True if how == "flag" else error)
    text = capsys.readouterr().err
    assert "髙橋" not in text
    assert json.loads(text)["error"] == "KeyError"


def test_lines_of_libraries_keep_only_their_origin(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("registry")
    try:
        raise ValueError("髙橋")
    except ValueError:
        standard_logging.getLogger("asyncpg.pool").exception("query failed with %s", "髙橋")
    text = capsys.readouterr().err
    assert "髙橋" not in text
    line = json.loads(text)
    assert (line["logger"], line["error"]) == ("asyncpg.pool", "ValueError")


def test_a_disk_that_is_full_loses_lines_and_ends_nobody() -> None:
    script = """
import structlog
from tomoni import logging
logging.configure("registry")
for n in range(10_000):
    structlog.get_logger().error("disk_is_full", position=n)
print("goes on")
"""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"goes on\n"
