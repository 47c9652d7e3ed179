"""Folding the federation's log into users: everything doubtful closes."""

import functools
import json

import pytest

from tests.hub.logs import ORIGIN, accepted, admitted, new_key, quarantined, readmitted, retired, suspended
from tomoni_federation.hub.members import FoldError, apply_entry

A, B = "131130", "131121"
KEY, OTHER = new_key(), new_key()


def users_after(*entries: bytes) -> dict[str, tuple[str, ...]]:
    return dict(functools.reduce(lambda users, entry: apply_entry(users, entry, ORIGIN), entries, {}))


@pytest.mark.parametrize(
    ("entries", "users"),
    [
        ([], {}),
        ([admitted(A, KEY)], {A: (KEY,)}),
        ([admitted(A, KEY), admitted(B, OTHER)], {A: (KEY,), B: (OTHER,)}),
        ([admitted(A, KEY), suspended(A)], {}),
        ([admitted(A, KEY), quarantined(A)], {}),
        ([admitted(A, KEY), suspended(A), readmitted(A, OTHER)], {A: (OTHER,)}),
        ([admitted(A, KEY), readmitted(A, OTHER)], {A: (OTHER,)}),
        ([admitted(A, KEY), admitted(B, KEY)], {A: (KEY,)}),
        ([admitted(A, KEY), admitted(B, OTHER), readmitted(B, KEY)], {A: (KEY,)}),
        ([admitted(A, KEY), suspended(B)], {A: (KEY,)}),
        ([admitted(A, KEY), accepted(A, KEY, OTHER)], {A: (KEY, OTHER)}),
        ([admitted(A, KEY), accepted(A, KEY, OTHER), retired(A, KEY)], {A: (OTHER,)}),
        ([admitted(A, KEY), accepted(A, KEY, OTHER), suspended(A)], {}),
        ([admitted(A, KEY), accepted(A, KEY, OTHER), suspended(A), readmitted(A, OTHER)], {A: (OTHER,)}),
        ([admitted(A, KEY), admitted(B, OTHER), accepted(A, KEY, OTHER)], {A: (KEY,), B: (OTHER,)}),
        ([admitted(A, KEY), suspended(A), accepted(A, KEY, OTHER)], {}),
        ([admitted(A, KEY), retired(A, KEY)], {}),
    ],
)
def test_the_log_says_who_may_connect(entries, users):
    assert users_after(*entries) == users


def unknown(**fields: str) -> bytes:
    event = {"id": "x", "source": ORIGIN, "type": "jp.tomoni.jurisdiction.renamed.v1", "specversion": "1.0", **fields}
    return json.dumps(event, sort_keys=True, separators=(",", ":")).encode()


def test_an_unknown_event_about_a_jurisdiction_closes_its_access():
    assert users_after(admitted(A, KEY), admitted(B, OTHER), unknown(subject=f"jurisdiction/{A}")) == {B: (OTHER,)}


def test_an_unknown_event_about_something_else_changes_nothing():
    assert users_after(admitted(A, KEY), unknown(subject="network/x")) == {A: (KEY,)}


@pytest.mark.parametrize(
    "entry",
    [unknown(), b"junk", admitted(A, KEY).replace(ORIGIN.encode(), b"other/federation")],
    ids=["unknown without subject", "no event", "of another source"],
)
def test_a_log_that_cannot_be_read_halts_the_fold(entry):
    with pytest.raises(FoldError):
        users_after(entry)
