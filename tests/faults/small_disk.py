"""A small disk that can be full, with a PostgreSQL on it and room for whatever else a test puts there.

It is a file system of its own where one may be mounted, as root may. Elsewhere the server raises its own error for
every row, as on a full disk (`unwritable.full_disk`): the same test, with the fault one step nearer.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.unwritable import full_disk
from tomoni_cli.embedded.postgres import EmbeddedPostgres

MEGABYTES = 160
"""A new cluster with two databases takes some sixty, and a third of that again with every segment of its log."""


class SmallDisk:
    """The disk, and the server on it."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres", port=0)
        self._mounted = mounted

    @contextmanager
    def full(self, database: str) -> Iterator[None]:
        """Leave not a byte of room while in the context."""
        if not self._mounted:
            with full_disk(self.postgres, database):
                yield
            return
        filler = self.folder / "filler"
        fill(filler)
        try:
            yield
        finally:
            filler.unlink()


def fill(filler: Path) -> None:
    """Write a file until its disk is full."""
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


@contextmanager
def small_folder(megabytes: int) -> Iterator[tuple[Path, bool]]:
    """Give a folder, and whether it is a disk of its own of that size."""
    folder = Path(tempfile.mkdtemp(prefix="tomoni-disk-"))
    folder.chmod(0o711)  # PostgreSQL's account passes it
    options = f"size={megabytes}m,mode=711"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder)


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """Give a small disk with a server that runs on it."""
    with small_folder(MEGABYTES) as (folder, mounted):
        disk = SmallDisk(folder, mounted=mounted)
        with disk.postgres:
            yield disk
