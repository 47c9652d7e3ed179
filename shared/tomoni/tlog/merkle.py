"""The Merkle tree of RFC 6962 §2.1: hashes, the compact range of a growing tree, inclusion and consistency proofs.

A subtree is named by its level (0 is a leaf) and its index within that level; it is *complete* when it holds 2^level
leaves. Proofs are made from a function that gives the hash of any complete subtree, wherever those hashes are kept.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Self

HASH_SIZE = 32
"""Bytes of a SHA-256 hash."""

MAX_SIZE = 2**63 - 1
"""The largest size of a tree read here: what PostgreSQL and the other implementations can count (a signed 64-bit)."""

EMPTY_ROOT = sha256().digest()
"""The root of the tree without leaves: the hash of the empty string (RFC 6962 §2.1)."""

HashAt = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree at a level and an index within that level."""

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
"""What is hashed before an entry and before two hashes, so that no node can pass for a leaf (RFC 6962 §2.1)."""


class ProofError(ValueError):
    """A proof does not prove what it should, or none of that shape can exist."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf, SHA-256(0x00 ‖ entry) (RFC 6962 §2.1)."""
    return sha256(LEAF_PREFIX + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Return the leaf hash of each entry: `leaf_hash` for many, without a call for each."""
    digest, prefix = sha256, LEAF_PREFIX
    return [digest(prefix + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two hashes, SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1)."""
    return sha256(NODE_PREFIX + left + right).digest()


def parent_hashes(row: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of the nodes above neighbours of a row of even length, one level up."""
    digest, prefix = sha256, NODE_PREFIX
    return [digest(prefix + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]


class CompactRange:
    """The least one must keep of a tree to append to it: the roots of its complete subtrees, the largest first.

    A tree of a given size has one subtree for each bit set in the size, so 64 hashes are enough for any log.
    """

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if not 0 <= size <= MAX_SIZE:
            raise ValueError("the size of a tree is between 0 and 2^63 - 1")
        if len(self.nodes) != size.bit_count() or any(len(node) != HASH_SIZE for node in self.nodes):
            raise ValueError("a compact range has one hash of 32 bytes for each bit set in its size")

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        size, nodes = self.size, self.nodes
        while size & 1:
            leaf = node_hash(nodes.pop(), leaf)
            size >>= 1
        nodes.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in order: the same as `append` for each, level by level and much faster."""
        row = list(leaves)
        size, nodes = self.size, self.nodes
        self.size += len(row)
        odd_ones: list[bytes] = []
        while row:
            if size & 1:
                row.insert(0, nodes.pop())
            if len(row) & 1:
                odd_ones.append(row.pop())
            row = parent_hashes(row)
            size >>= 1
        nodes.extend(reversed(odd_ones))

    def root(self) -> bytes:
        """Return the root of the tree, MTH(D[size]) (RFC 6962 §2.1)."""
        return _fold(self.nodes) if self.nodes else EMPTY_ROOT

    def copy(self) -> Self:
        """Return a range that grows apart from this one."""
        return type(self)(self.size, self.nodes)

    def to_bytes(self) -> bytes:
        """Return the hashes one after the other, the largest subtree's first; the size is kept beside them."""
        return b"".join(self.nodes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Return the range of a size and the bytes of `to_bytes`; raise ValueError where they do not fit together."""
        return cls(size, [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)])


def subtree_root(start: int, end: int, hash_at: HashAt) -> bytes:
    """Return MTH(D[start:end]) (RFC 6962 §2.1), where the range is one that occurs in the tree's recursion."""
    nodes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(hash_at(level, start >> level))
        start += 1 << level
    return _fold(nodes) if nodes else EMPTY_ROOT


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """Return the audit path of the leaf at an index in the tree of a size, the leaf's sibling first (RFC 6962 §2.1.1).

    Raises ProofError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf at {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree_root(middle, end, hash_at))
            end = middle
        else:
            path.append(subtree_root(start, middle, hash_at))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, hash_at: HashAt) -> list[bytes]:
    """Return the proof that the tree of the new size begins with the tree of the old size (RFC 6962 §2.1.2).

    It is empty for an old size of 0, with which every tree is consistent, and for equal sizes. Raises ProofError
    when the old size is not within the new one.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot be proven to continue one of {old}")
    if old == 0:
        return []
    path: list[bytes] = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree_root(middle, end, hash_at))
            end = middle
        else:
            path.append(subtree_root(start, middle, hash_at))
            start = middle
    if start > 0:  # otherwise the old tree is itself a subtree, and its root is known to who asks
        path.append(subtree_root(start, end, hash_at))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless the leaf hash stands at an index of the tree of a size and root (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf at {index}")
    inner, border = _path_shape(index, size)
    _check_hashes(proof, inner + border)
    if _climb(leaf, index, proof, inner) != root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise ProofError unless the tree of the new size and root begins with that of the old (RFC 6962 §2.1.2)."""
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot continue one of {old}")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofError("the old tree is empty, but its root is not the hash of the empty string")
    if old == new and old_root != new_root:
        raise ProofError("two trees of the same size have different roots")
    if old in {0, new}:
        _check_hashes(proof, 0)
        return
    level = (old & -old).bit_length() - 1  # of the old tree's smallest complete subtree, from which the path rises
    inner, border = _path_shape(old - 1, new)
    inner -= level
    whole = old == 1 << level  # the old tree is itself a subtree of the new one: its root is left out of the proof
    _check_hashes(proof, inner + border + (not whole))
    seed, path = (old_root, proof) if whole else (proof[0], proof[1:])
    index = (old - 1) >> level
    if _climb(seed, index, path, inner, only_left=True) != old_root:
        raise ProofError("the consistency proof leads to another old root")
    if _climb(seed, index, path, inner) != new_root:
        raise ProofError("the consistency proof leads to another new root")


def range_before(index: int, size: int, proof: Sequence[bytes]) -> CompactRange:
    """Return the compact range of the leaves before an index, which stands in that leaf's inclusion proof.

    The path's left siblings are the roots of the complete subtrees before it. The proof must have been verified.
    """
    inner, _ = _path_shape(index, size)
    left = [sibling for level, sibling in enumerate(proof) if level >= inner or index >> level & 1]
    return CompactRange(index, left[::-1])


def _path_shape(index: int, size: int) -> tuple[int, int]:
    """Return how many siblings of the path from a leaf lie below the point where it meets the tree's right edge.

    The second number is of those above it; there the edge has only left siblings.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(seed: bytes, index: int, path: Sequence[bytes], inner: int, *, only_left: bool = False) -> bytes:
    """Return the hash reached from a node along its siblings; with `only_left`, of the tree that ends at that node."""
    node = seed
    for level, sibling in enumerate(path):
        if level >= inner or index >> level & 1:
            node = node_hash(sibling, node)
        elif not only_left:
            node = node_hash(node, sibling)
    return node


def _split(size: int) -> int:
    """Return the largest power of two smaller than a size above 1 (RFC 6962 §2.1, `k`)."""
    return 1 << (size - 1).bit_length() - 1


def _fold(nodes: Sequence[bytes]) -> bytes:
    """Return the root above complete subtrees, the largest first."""
    root = nodes[-1]
    for node in nodes[-2::-1]:
        root = node_hash(node, root)
    return root


def _check_hashes(proof: Sequence[bytes], count: int) -> None:
    if len(proof) != count:
        raise ProofError(f"the proof has {len(proof)} hashes where exactly {count} prove it")
    if any(len(each) != HASH_SIZE for each in proof):
        raise ProofError("a hash of the proof is not 32 bytes long")
