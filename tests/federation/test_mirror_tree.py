"""Trees of the mirror at any size, grown from the nearest stored compact range: the same as from the first leaf."""

import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.federation.towns import Town
from tomoni.tlog.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    verify_consistency,
    verify_inclusion,
)
from tomoni_federation.mirror.tree import hashes_beyond, range_at

LEAVES = leaf_hashes(b"%d" % number for number in range(300))


def range_of(leaves) -> CompactRange:
    grown = CompactRange()
    grown.extend(leaves)
    return grown


@given(st.lists(st.integers(0, 300), min_size=3, max_size=3).map(sorted))
def test_hashes_beyond_a_range_are_all_that_proofs_from_there_on_need(sizes):
    base, old, new = sizes
    hash_at = hashes_beyond(range_of(LEAVES[:base]), LEAVES[base:new])
    old_root, new_root = range_of(LEAVES[:old]).root(), range_of(LEAVES[:new]).root()
    verify_consistency(old, new, consistency_proof(old, new, hash_at), old_root, new_root)
    if old < new:
        verify_inclusion(LEAVES[old], old, new, inclusion_proof(old, new, hash_at), new_root)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 199), max_size=8), earlier_version=st.booleans(), data=st.data())
async def test_the_range_at_any_size_is_the_one_from_the_first_leaf(federation, cuts, earlier_version, data):
    town = Town(f"{uuid.uuid4().int % 10**6:06d}", entries=[b"%d" % number for number in range(200)])
    await federation.admit(town)
    ends = [*sorted(cuts), 200]
    for start, end in zip([0, *ends], ends, strict=False):
        await federation.receiver.events(town.messages(start, end))
    if earlier_version:
        await federation.as_owner("UPDATE mirror.checkpoint SET compact = NULL WHERE log = $1", town.code)
    async with federation.pool.acquire() as connection:
        for size in data.draw(st.lists(st.integers(0, 200), min_size=1, max_size=8)):
            found = await range_at(connection, town.code, size)
            assert (found.size, found.nodes) == (size, range_of(map(leaf_hash, town.entries[:size])).nodes)
