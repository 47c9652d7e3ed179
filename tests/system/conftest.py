"""Whole systems of real processes, each in a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that PostgreSQL's account may pass; as root, pytest's own folders are closed to it."""
    made = Path(tempfile.mkdtemp(prefix="tomoni-system-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)
