"""A second, naive implementation of logs, written from the specifications and sharing no code with `tomoni.tlog`.

RFC 6962 §2.1 is taken word for word, recursively; notes and tiles are put together by hand.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mth(d: Sequence[bytes]) -> bytes:
    """MTH(D[n]), RFC 6962 §2.1."""
    n = len(d)
    if n == 0:
        return sha256(b"")
    if n == 1:
        return sha256(b"\x00" + d[0])
    k = split(n)
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), RFC 6962 §2.1.1."""
    n = len(d)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]), RFC 6962 §2.1.2."""
    return subproof(m, d, b=True)


def subproof(m: int, d: Sequence[bytes], *, b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = split(n)
    if m <= k:
        return [*subproof(m, d[:k], b=b), mth(d[k:])]
    return [*subproof(m - k, d[k:], b=False), mth(d[:k])]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class Key:
    """An Ed25519 key of type 0x01 with a name."""

    def __init__(self, name: str, seed: bytes = b"\x07" * 32) -> None:
        self.name = name
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self.private.public_key().public_bytes_raw()
        self.id = sha256(name.encode() + b"\n\x01" + public)[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(bytes([1]) + public).decode()}"

    def line(self, text: str) -> str:
        return f"\u2014 {self.name} {base64.b64encode(self.id + self.private.sign(text.encode())).decode()}\n"


def checkpoint(origin: str, size: int, root: bytes, key: Key) -> bytes:
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    return f"{text}\n{key.line(text)}".encode()


def write_log(folder: Path, entries: Sequence[bytes], key: Key, origin: str = "other.example/log") -> bytes:
    """Write the files of a log (C2SP tlog-tiles) and return its root."""
    root = mth(entries)
    put(folder, "checkpoint", checkpoint(origin, len(entries), root, key))
    for start in range(0, len(entries), 256):
        part = entries[start : start + 256]
        bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
        put(folder, f"tile/entries/{name(start // 256, len(part))}", bundle)
    level = 0
    row = [sha256(b"\x00" + entry) for entry in entries]
    while row:
        for start in range(0, len(row), 256):
            part = row[start : start + 256]
            put(folder, f"tile/{level}/{name(start // 256, len(part))}", b"".join(part))
        row = [over(row[start : start + 256]) for start in range(0, len(row) - 255, 256)]
        level += 1
    return root


def over(row: Sequence[bytes]) -> bytes:
    if len(row) == 1:
        return row[0]
    half = len(row) // 2
    return sha256(b"\x01" + over(row[:half]) + over(row[half:]))


def name(index: int, width: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    groups[:-1] = ["x" + group for group in groups[:-1]]
    return "/".join(groups) + ("" if width == 256 else f".p/{width}")


def put(folder: Path, path_: str, data: bytes) -> None:
    file = folder / path_
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
