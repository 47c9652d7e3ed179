"""The tree: against the classic vectors, and against RFC 6962's own recursion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tlog import reference
from tomoni.tlog.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    CompactRange,
    HashAt,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    node_hash,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

CLASSIC_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CLASSIC_ROOTS = [
    bytes.fromhex(root)
    for root in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
CLASSIC_CONSISTENCY_6_TO_8 = [
    bytes.fromhex(node)
    for node in (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    )
]
MANY = [index.to_bytes(2, "big") for index in range(80)]
ROOTS = [reference.mth(MANY[:size]) for size in range(len(MANY) + 1)]
LEAVES = leaf_hashes(MANY)

sizes = st.integers(1, len(MANY))


def complete_subtrees(level: int, index: int) -> bytes:
    """Hash by definition; refuse what is not complete in the largest tree used here."""
    leaves = MANY[index << level : (index + 1) << level]
    assert len(leaves) == 1 << level
    return reference.mth(leaves)


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


class TestHashes:
    def test_the_empty_root_is_the_hash_of_the_empty_string(self) -> None:
        assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert CompactRange().root() == EMPTY_ROOT

    def test_a_leaf_and_a_node_of_the_same_bytes_have_different_hashes(self) -> None:
        left, right = leaf_hash(b"left"), leaf_hash(b"right")
        assert node_hash(left, right) != leaf_hash(left + right)

    def test_the_eight_classic_leaves_have_the_classic_roots(self) -> None:
        tree = CompactRange()
        for leaf, root in zip(CLASSIC_LEAVES, CLASSIC_ROOTS, strict=True):
            tree.append(leaf_hash(leaf))
            assert tree.root() == root

    def test_the_classic_consistency_proof_from_six_to_eight(self) -> None:
        def hash_at(level: int, index: int) -> bytes:
            return reference.mth(CLASSIC_LEAVES[index << level : (index + 1) << level])

        assert consistency_proof(6, 8, hash_at) == CLASSIC_CONSISTENCY_6_TO_8
        verify_consistency(6, 8, CLASSIC_CONSISTENCY_6_TO_8, CLASSIC_ROOTS[5], CLASSIC_ROOTS[7])


class TestCompactRange:
    @given(st.lists(st.binary(max_size=4), max_size=300), st.lists(st.integers(0, 300), max_size=6))
    def test_it_equals_the_naive_recursion_however_the_leaves_arrive(
        self, entries: list[bytes], cuts: list[int]
    ) -> None:
        tree, grown = CompactRange(), CompactRange()
        start = 0
        for end in sorted([*(min(cut, len(entries)) for cut in cuts), len(entries)]):
            tree.extend(leaf_hashes(entries[start:end]))
            start = end
        for leaf in leaf_hashes(entries):
            grown.append(leaf)
        assert tree.size == grown.size == len(entries)
        assert tree.nodes == grown.nodes
        assert tree.root() == reference.mth(entries)

    def test_its_nodes_are_the_complete_subtrees_the_largest_first(self) -> None:
        tree = CompactRange()
        tree.extend(LEAVES[:13])
        assert tree.nodes == [reference.mth(MANY[:8]), reference.mth(MANY[8:12]), reference.mth(MANY[12:13])]

    @given(sizes)
    def test_it_survives_being_stored(self, size: int) -> None:
        tree = CompactRange()
        tree.extend(LEAVES[:size])
        again = CompactRange.from_bytes(size, tree.to_bytes())
        assert (again.size, again.nodes) == (size, tree.nodes)

    def test_a_copy_grows_apart_from_the_original(self) -> None:
        tree = CompactRange()
        tree.extend(LEAVES[:5])
        other = tree.copy()
        other.append(LEAVES[5])
        assert (tree.size, tree.root()) == (5, ROOTS[5])
        assert (other.size, other.root()) == (6, ROOTS[6])

    @pytest.mark.parametrize(
        ("size", "data"),
        [
            (0, b"\0" * 32),
            (1, b""),
            (1, b"\0" * 31),
            (1, b"\0" * 33),
            (3, b"\0" * 32),
            (-1, b""),
            (MAX_SIZE + 1, b"\0" * 32),
        ],
    )
    def test_bytes_that_do_not_fit_the_size_are_refused(self, size: int, data: bytes) -> None:
        with pytest.raises(ValueError):
            CompactRange.from_bytes(size, data)


class TestInclusion:
    def test_every_proof_of_every_size_is_that_of_the_specification_and_verifies(self) -> None:
        for size in range(1, 40):
            for index in range(size):
                proof = inclusion_proof(index, size, complete_subtrees)
                assert proof == reference.path(index, MANY[:size])
                verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])

    @given(st.data(), sizes)
    def test_any_flipped_bit_is_found(self, data: st.DataObject, size: int) -> None:
        index = data.draw(st.integers(0, size - 1))
        parts = [LEAVES[index], ROOTS[size], *reference.path(index, MANY[:size])]
        which = data.draw(st.integers(0, len(parts) - 1))
        parts[which] = flip(parts[which], data.draw(st.integers(0, 255)))
        leaf, root, *proof = parts
        with pytest.raises(ProofError):
            verify_inclusion(leaf, index, size, proof, root)

    @given(st.data(), sizes)
    def test_a_proof_is_of_no_other_index_and_no_other_length(self, data: st.DataObject, size: int) -> None:
        index = data.draw(st.integers(0, size - 1))
        proof = reference.path(index, MANY[:size])
        for other in set(range(size)) - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
        for wrong in ([*proof, ROOTS[1]], [ROOTS[1], *proof], proof[:-1], proof[1:]):
            if len(wrong) != len(proof):
                with pytest.raises(ProofError, match=f"where exactly {len(proof)} prove it"):
                    verify_inclusion(LEAVES[index], index, size, wrong, ROOTS[size])

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (7, 5)])
    def test_there_is_no_proof_of_a_leaf_that_the_tree_does_not_have(self, index: int, size: int) -> None:
        with pytest.raises(ProofError):
            inclusion_proof(index, size, complete_subtrees)
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[0], index, size, [], ROOTS[size])

    def test_a_hash_of_another_length_is_refused(self) -> None:
        with pytest.raises(ProofError, match="32 bytes"):
            verify_inclusion(LEAVES[0], 0, 2, [LEAVES[1] + b"\0"], ROOTS[2])


class TestConsistency:
    def test_every_proof_of_every_pair_is_that_of_the_specification_and_verifies(self) -> None:
        for new in range(33):
            for old in range(new + 1):
                proof = consistency_proof(old, new, complete_subtrees)
                assert proof == (reference.proof(old, MANY[:new]) if old else [])
                verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])

    @given(st.data(), sizes)
    def test_any_flipped_bit_is_found(self, data: st.DataObject, new: int) -> None:
        old = data.draw(st.integers(1, new))
        parts = [ROOTS[old], ROOTS[new], *reference.proof(old, MANY[:new])]
        which = data.draw(st.integers(0, len(parts) - 1))
        parts[which] = flip(parts[which], data.draw(st.integers(0, 255)))
        old_root, new_root, *proof = parts
        with pytest.raises(ProofError):
            verify_consistency(old, new, proof, old_root, new_root)

    @given(st.data(), sizes)
    def test_a_rewritten_history_has_no_proof(self, data: st.DataObject, new: int) -> None:
        old = data.draw(st.integers(1, new))
        rewritten = list(MANY[:new])
        rewritten[data.draw(st.integers(0, old - 1))] = b"rewritten"
        proof = reference.proof(old, rewritten)
        with pytest.raises(ProofError):
            verify_consistency(old, new, proof, ROOTS[old], reference.mth(rewritten))

    @given(st.data(), sizes)
    def test_a_proof_has_exactly_one_length(self, data: st.DataObject, new: int) -> None:
        old = data.draw(st.integers(0, new))
        proof = consistency_proof(old, new, complete_subtrees)
        for wrong in ([*proof, ROOTS[1]], proof[:-1]):
            if len(wrong) != len(proof):
                with pytest.raises(ProofError, match=f"where exactly {len(proof)} prove it"):
                    verify_consistency(old, new, wrong, ROOTS[old], ROOTS[new])

    @pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
    def test_a_tree_does_not_shrink(self, old: int, new: int) -> None:
        with pytest.raises(ProofError):
            consistency_proof(old, new, complete_subtrees)
        with pytest.raises(ProofError):
            verify_consistency(old, new, [], ROOTS[old], ROOTS[new])

    def test_an_empty_old_tree_has_the_empty_root(self) -> None:
        verify_consistency(0, 5, [], EMPTY_ROOT, ROOTS[5])
        with pytest.raises(ProofError, match="empty"):
            verify_consistency(0, 5, [], ROOTS[1], ROOTS[5])

    def test_one_size_has_one_root(self) -> None:
        with pytest.raises(ProofError, match="same size"):
            verify_consistency(5, 5, [], ROOTS[5], ROOTS[6])

    def test_the_largest_tree_read_here_can_be_proven(self) -> None:
        def hash_at(level: int, index: int) -> bytes:
            return leaf_hash(b"%d %d" % (level, index))

        root = subtree_root(0, MAX_SIZE, hash_at)
        proof = inclusion_proof(MAX_SIZE - 1, MAX_SIZE, hash_at)
        assert len(proof) == 62
        verify_inclusion(hash_at(0, MAX_SIZE - 1), MAX_SIZE - 1, MAX_SIZE, proof, root)


def test_an_empty_range_has_the_empty_root() -> None:
    hash_at: HashAt = complete_subtrees
    assert subtree_root(3, 3, hash_at) == EMPTY_ROOT
