"""Pieces of a picture: days on an axis, and shapes with words. SVG as text, no script and no outside resource."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from typing import Final

WIDTH: Final = 960
LEFT: Final = 150
RIGHT: Final = 930
_MOST_TICKS: Final = 10


@dataclass(frozen=True, slots=True)
class Axis:
    """Days from a first to a last, across the picture."""

    first: date
    last: date

    def x(self, day: date) -> float:
        """Return where a day stands."""
        share = (min(max(day, self.first), self.last) - self.first).days / max(1, (self.last - self.first).days)
        return LEFT + share * (RIGHT - LEFT)

    def ticks(self) -> Iterator[date]:
        """Yield the first days of months or years, few enough to be read."""
        months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month
        step = next(one for one in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if months / one <= _MOST_TICKS or one == 1200)
        count = self.first.year * 12 + self.first.month - 1
        for number in range(count - count % step, count + months + 1, step):
            if number // 12 >= 1 and (day := date(number // 12, number % 12 + 1, 1)) >= self.first:
                yield day

    def draw(self, top: float, bottom: float) -> str:
        """Return the ticks with their months."""
        lines = [
            f'<line class="tick" x1="{self.x(day):.1f}" x2="{self.x(day):.1f}" y1="{top}" y2="{bottom}"/>'
            + text(self.x(day), bottom + 18, f"{day:%Y-%m}", "small", anchor="middle")
            for day in self.ticks()
        ]
        return "\n".join(lines)


def axis_over(days: list[date]) -> Axis:
    """Return the axis that holds days, with some room after the last."""
    first, last = min(days), max(days)
    room = max(timedelta(days=30), (last - first) // 8)
    return Axis(first - min(timedelta(days=10), first - date.min), last + min(room, date.max - last))


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> str:
    """Return words in the picture."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x: float, y: float, to: float) -> str:
    """Return a level line."""
    return f'<line class="axis" x1="{x:.1f}" x2="{to:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Return a bar."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 2):.1f}" height="{height:.1f}" rx="3"/>'


def mark(x: float, y: float, number: int) -> str:
    """Return a numbered mark, whose number is a row of the table beneath the picture."""
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="11"/>' + text(
        x, y + 4, str(number), "on", anchor="middle"
    )
