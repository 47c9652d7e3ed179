"""What may be answered, from what the nodes have acknowledged: plain dictionaries, none of the product's folding.

A fact is what a command was answered to have done. It gets its position once the node's log is seen to hold it. The
state after so many entries of a log is made anew, fact by fact, each time somebody asks.
"""

from collections import defaultdict
from collections.abc import Iterator

Fact = dict
"""`what`, `version` and what belongs to it; `position` once it is seen in the log."""


class Model:
    """The facts of all towns."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[Fact]] = defaultdict(list)

    def record(self, town: str, subject: str, what: str, **details: object) -> None:
        """Take what a node has acknowledged: the next fact of a subject."""
        facts = self.streams[town, subject]
        facts.append({"what": what, "version": len(facts) + 1, **details})

    def place(self, town: str, subject: str, version: int, position: int) -> None:
        """Say where in the log a fact stands; each stands there once, and nothing that was not acknowledged does."""
        facts = self.streams[town, subject]
        assert 0 < version <= len(facts), f"{town} holds an event at {position} that nobody was told of"
        assert "position" not in facts[version - 1], f"{town} holds an event twice: the second time at {position}"
        facts[version - 1]["position"] = position

    def unplaced(self) -> list[tuple[str, str]]:
        """Return the subjects with a fact that no log is seen to hold."""
        return [key for key, facts in self.streams.items() if any("position" not in fact for fact in facts)]

    def prefixes(self, town: str, subject: str, low: int, high: int) -> Iterator[list[Fact]]:
        """Yield the facts of a subject after each of so many entries of the town's log."""
        facts = self.streams[town, subject]
        known = sum(fact["position"] < low for fact in facts)
        newest = sum(fact["position"] < high for fact in facts)
        return (facts[:count] for count in range(known, newest + 1))

    def statuses(self, town: str, subject: str, handle: str, low: int, high: int, today: str) -> set[str]:
        """Return what a document may be said to be between two sizes of its issuer's log."""
        return {status(facts, handle, today) for facts in self.prefixes(town, subject, low, high)}

    def recognitions(self, issuer: str, receiver: str, low: int, high: int) -> set[bool]:
        """Return whether the receiver may be said to have declared that the issuer's documents count."""
        found = {False}
        for town, subject in list(self.streams):
            if town == receiver and subject.startswith("arrangement/"):
                each = {_counts(facts, issuer) for facts in self.prefixes(town, subject, low, high)}
                found = {one or other for one in found for other in each}
        return found


def fold(facts: list[Fact]) -> dict:
    """Return a certificate after some facts: nothing where there is none."""
    now: dict = {}
    for fact in facts:
        if fact["what"] == "issued":
            now = {"document": fact["document"], "until": fact["until"], "confirmed": False, "ended": False}
            now["documents"] = [fact["document"]]
        elif fact["what"] == "confirmed":
            now["confirmed"] = True
        elif fact["what"] == "reissued":
            now["document"] = fact["document"]
            now["documents"].append(fact["document"])
        elif fact["what"] == "revoked":
            now["ended"] = True
        elif fact["what"] == "reinstated":
            now["ended"] = False
        elif fact["what"] == "corrected":
            now["until"] = fact["until"]
    return now


def status(facts: list[Fact], handle: str, today: str) -> str:
    """Return what a document is after some facts about its certificate."""
    now = fold(facts)
    if handle not in now.get("documents", ()):
        return "not-found"
    conditional = now["until"] is not None and not now["confirmed"]
    if now["ended"] or (conditional and now["until"] < today):
        return "not-valid"
    if handle != now["document"]:
        return "replaced"
    return "conditional" if conditional else "valid"


def allows(facts: list[Fact], what: str, today: str) -> bool:
    """Return whether a node has to take a command about a certificate."""
    now = fold(facts)
    conditional = now["until"] is not None and not now["confirmed"]
    lapsed = conditional and now["until"] < today
    return {
        "confirmed": conditional and not lapsed and not now["ended"],
        "reissued": not lapsed and not now["ended"],
        "revoked": not now["ended"],
        "reinstated": now["ended"],
        "corrected": True,
        "lapsed": conditional and not lapsed,
    }[what]


def _counts(facts: list[Fact], issuer: str) -> bool:
    return [fact["what"] for fact in facts] == ["declared"] and facts[0]["issuer"] == issuer
