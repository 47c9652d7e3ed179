"""Evidence files put together by hand from towns' logs, each really signed."""

from datetime import date, timedelta
from io import BytesIO

from tests.federation.towns import NOW, Town
from tomoni.events import jurisdiction as j
from tomoni.evidence.form import Evidence, Opening
from tomoni.evidence.judging import judge
from tomoni.tlog.encoding import encode_base64
from tomoni.tlog.merkle import CompactRange, consistency_proof, inclusion_proof, leaf_hashes

CODE = "131130"


def keys_of(town):
    return [town.log_key.verifier, town.heartbeat_key.verifier]


def convicts(data, town):
    return judge(BytesIO(data), keys_of(town))


def hash_at(entries):
    leaves = leaf_hashes(entries)

    def root(level, index):
        part = CompactRange()
        part.extend(leaves[index << level : (index + 1) << level])
        return part.root()

    return root


def opening(town, position, size=None):
    proof = inclusion_proof(position, size or town.size, hash_at(town.entries))
    return Opening(position, town.entries[position], tuple(proof))


def forked_from(town, size):
    """Return the same town with another history from a size on."""
    fork = Town(town.code, log_key=town.log_key, heartbeat_key=town.heartbeat_key, entries=town.entries[:size])
    fork.versions = dict(town.versions)
    return fork


def fork_of_one_size(town, fork):
    return Evidence(kind="fork", notes=(town.note(fork.size), fork.note())).to_bytes()


def fork_of_two_sizes(town, fork):
    """The fork's checkpoint against a larger one of the town."""
    proof = consistency_proof(fork.size, town.size, hash_at(town.entries))
    root = town.checkpoint_at(fork.size).root
    return Evidence(kind="fork", notes=(fork.note(), town.note()), root=root, proof=tuple(proof)).to_bytes()


def shrinking(town, before, after, at, later):
    notes = (town.heartbeat(at, before).data, town.heartbeat(later, after).data)
    return Evidence(kind="shrinking", notes=notes).to_bytes()


def illegal(town, position):
    return Evidence(kind="illegal-entry", notes=(town.note(),), openings=(opening(town, position),)).to_bytes()


def repeated(town, position, earlier):
    openings = (opening(town, position), opening(town, earlier))
    return Evidence(kind="repeated", notes=(town.note(),), openings=openings).to_bytes()


def missing(town, position, earlier=None):
    openings = (opening(town, position), *([] if earlier is None else [opening(town, earlier)]))
    document = Evidence(kind="missing", notes=(town.note(),), openings=openings).to_bytes()
    start = 0 if earlier is None else earlier + 1
    return document + b"".join(encode_base64(one).encode() + b"\n" for one in town.entries[start:position])


def guilty():
    """Return files that convince, by name, with the town whose keys show it."""
    town = Town(CODE)
    for _ in range(5):
        town.issue()
    shorter, even = forked_from(town, 2), forked_from(town, 3)
    shorter.issue()
    even.issue()
    certificate, _ = town.issue()
    town.revoke(certificate)
    town.issue()
    again = town.size
    town.versions[f"certificate/{certificate}"] = 1
    town.reinstate(certificate)
    town.issue()
    skipping = town.size
    town.versions[f"certificate/{certificate}"] = 7
    town.revoke(certificate)
    junk = town.size
    town.append(b"no event")
    town.issue()
    young = forked_from(town, 2)
    young.append(young.event(j.SchemeClosed, j.SchemeClosedData, "scheme", version=2, closes_on=date(2026, 1, 1)))
    later = NOW + timedelta(hours=1)
    return town, {
        "a fork of one size": fork_of_one_size(town, shorter),
        "a fork of two sizes": fork_of_two_sizes(town, shorter),
        "a fork at a whole subtree": fork_of_two_sizes(town, even),
        "a shrinking log": shrinking(town, town.size, 3, NOW, later),
        "an entry that is no event": illegal(town, junk),
        "a version that was there": repeated(town, again, again - 2),
        "a version too far": missing(town, skipping, again),
        "a first version too far": missing(young, 2),
    }
