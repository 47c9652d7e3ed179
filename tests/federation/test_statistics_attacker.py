"""An attacker with tokens: it asks for all days, roles and forms, before and after, and reckons with all of it.

Whatever it can narrow is a leak: each cell keeps its whole core, with zero where nothing is shown. Against statistics
with the usual suppression (small cells hidden, totals exact; or everything rounded) the same attacker wins.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.federation.test_statistics import OCTOBER, N, ask, issue, publish
from tests.federation.towns import Town

KINDS = ("partnership", "familyship", "de-facto-partnership")
MONTHS = ("2025-10-31", "2025-11-30", "2025-12-31")
WORLD = {
    # what was certified in October, November, December 2025, as partnerships and as familyships
    "130001": ((41, 12), (38, 0), (52, 9)),
    "131121": ((14, 3), (9, 1), (8, 9)),
    "131130": ((9, 9), (9, 9), (9, 9)),
    "131083": ((0, 0), (0, 0), (1, 0)),
    "131148": ((2, 0), (0, 0), (0, 0)),
    "131041": ((9, 0), (9, 0), (9, 0)),
}
"""With edges in it: 9 everywhere, one couple in a whole town, nobody."""


NOT_OFFERED = dict.fromkeys(WORLD, KINDS[2:]) | dict.fromkeys(("131041", "131083", "131148"), KINDS[1:])
"""What everybody knows from the towns' own pages."""


class Attacker:
    """Narrows unknown counts from bounds on them and on sums of them, until nothing moves any more."""

    def __init__(self):
        self.low = defaultdict(int)
        self.high = defaultdict(lambda: 10**6)
        self.sums = []

    def learn(self, parts, low, high):
        """Take it that parts sum up to something from low to high."""
        self.sums.append((tuple(parts), low, high))

    def reckon(self):
        moved = True
        while moved:
            moved = False
            for parts, low, high in self.sums:
                lows, highs = sum(self.low[p] for p in parts), sum(self.high[p] for p in parts)
                for part in parts:
                    least = max(self.low[part], low - (highs - self.high[part]))
                    most = min(self.high[part], high - (lows - self.low[part]))
                    if (least, most) != (self.low[part], self.high[part]):
                        self.low[part], self.high[part], moved = least, most, True
                        lows, highs = sum(self.low[p] for p in parts), sum(self.high[p] for p in parts)

    def narrowed(self, cells):
        """Return those cells of which it knows more than the core of what is shown."""
        return {
            (cell, self.low[cell], self.high[cell])
            for cell, shown in cells.items()
            if self.low[cell] > shown or self.high[cell] < shown + N - 1
        }


def all_cells():
    return [(town, month, kind) for town in WORLD for month in MONTHS for kind in KINDS]


def truth(town, month, kind):
    of_month = WORLD[town][MONTHS.index(month)]
    return dict(zip(KINDS, (*of_month, 0), strict=True))[kind]


def learn_published(attacker, rows):
    """Take everything that was shown, with all that the rules imply, written down here once more."""
    shown = {(r["area"], r["closes_on"], r.get("kind"), r["measure"]): r["at_least"] for r in rows}
    year = MONTHS[-1]
    leaves, years = {}, {}
    for cell in all_cells():
        leaves[cell] = shown.get((*cell, "certified"), 0)
        attacker.learn([cell], leaves[cell], leaves[cell] + N - 1)
    for town in WORLD:
        parts = [cell for cell in leaves if cell[0] == town]
        for part in parts:
            if part[2] in NOT_OFFERED[town]:
                attacker.learn([part], 0, 0)
        years[town] = shown.get((town, year, None, "certified"), 0)
        most = sum(leaves[part] for part in parts)  # three months: half of them leave no room
        attacker.learn(parts, years[town], years[town] + N - 1 if years[town] < most else 10**6)
    whole = shown.get(("13", year, None, "certified"), 0)
    most = (sum(years.values()) + (N - 1) * 2) // N * N  # six towns: half of them, less one
    attacker.learn(list(leaves), whole, whole + N - 1 if whole < most else 10**6)
    return {cell: low for cell, low in leaves.items() if cell[2] not in NOT_OFFERED[cell[0]]}


async def everything(desk):
    """Ask every day of five months, as two aggregators and an auditor; return the different rows and answers."""
    rows, answers = {}, set()
    day = date(2025, 9, 15)
    while day < date(2026, 2, 15):
        per_role = set()
        for scope, subject in (("aggregator", "tanaka"), ("aggregator", "suzuki"), ("auditor", "sato")):
            bound = {"subject": subject} | ({"prefecture": "13"} if scope == "aggregator" else {})
            answer = await ask(desk, on=day, scope=scope, bound=bound)
            per_role.add(str(answer))
            rows |= {str(row): row for row in answer["rows"]}
        assert len(per_role) == 1  # nobody sees what another does not
        answers |= per_role
        day += timedelta(days=1)
    return list(rows.values()), answers


async def test_whoever_asks_for_everything_before_and_after_one_more_certificate_narrows_nothing(desk):
    towns = {code: Town(code) for code in WORLD}
    await desk.federation.admit(*towns.values())
    for cell in all_cells():
        town, month, kind = cell
        issue(towns[town], truth(*cell), date.fromisoformat(month), kind=kind)
    await desk.hear(*towns.values())
    for at in (OCTOBER, datetime(2026, 2, 10, tzinfo=UTC)):
        await publish(desk, at)
    rows, answers = await everything(desk)
    assert len(answers) == 5  # none, and as of four months: no day in between tells anything

    attacker = Attacker()
    leaves = learn_published(attacker, rows)
    attacker.reckon()
    assert attacker.narrowed(leaves) == set()
    assert all(attacker.low[cell] == 0 for cell in leaves if truth(*cell) < N)
    assert any(row["area"] == "13" and row["at_least"] >= 150 for row in rows)  # and yet it says something

    for town in ("131130", "131041", "131083"):
        issue(towns[town], 1, date(2025, 10, 31))  # the ninth becomes the tenth, the first the second
    await desk.hear(*towns.values())
    await publish(desk, datetime(2026, 2, 11, tzinfo=UTC))
    assert await everything(desk) == (rows, answers)


def exact(values):
    return {name: (value, value) if value >= N else (0, N - 1) for name, value in values.items()}


def rounded(values):
    return {name: (value // N * N, value // N * N + N - 1) for name, value in values.items()}


@pytest.mark.parametrize("sums", [lambda total: (total, total), lambda total: (total // N * N, total // N * N + N - 1)])
@pytest.mark.parametrize("shown", [exact, rounded])
def test_against_the_usual_suppression_the_same_attacker_wins(shown, sums):
    attacker = Attacker()
    for town in WORLD:
        partnerships = {(town, month): truth(town, month, "partnership") for month in MONTHS}
        for cell, (low, high) in shown(partnerships).items():
            attacker.learn([cell], low, high)
        attacker.learn(partnerships, *sums(sum(partnerships.values())))
    attacker.reckon()
    hidden = {(town, m): 0 for town in WORLD for m in MONTHS if truth(town, m, "partnership") < N}
    assert any(low > 0 for _, low, _ in attacker.narrowed(hidden))
