"""Files that hold a secret: made once, readable by their owner alone, on the disk before they are relied on."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class SecretFileError(ValueError):
    """A file of a secret cannot be used; the text says which and why, never what stands in it."""


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600 and wait for the disk; raise FileExistsError where it is there.

    A key that signs or encrypts before it is on the disk could be lost by a crash, and with it what depends on it. It
    gets its name when it is whole: half a key under that name would keep a node from starting.
    """
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}.half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(half)  # unlike a renaming, it replaces nothing
    finally:
        half.unlink()
    sync_folder(path.parent)


@contextmanager
def written_secretly(path: Path, *, replace: bool = False) -> Generator[BinaryIO]:
    """Give a file of mode 0600 to write, which gets its name once it is whole and on the disk.

    Raises FileExistsError where the name is taken and must not be replaced. It may lie on a stick whose file system
    has no links, so between two that write the same name the later one wins.
    """
    if path.exists() and not replace:
        raise FileExistsError(f"{path} is there already")
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}.half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path) -> bytes:
    """Return what a file of a secret holds; raise SecretFileError where others could read it or it is not there."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise SecretFileError(f"{path} is readable by others: chmod 600 it, and consider its content known")
        return path.read_bytes()
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}") from error
