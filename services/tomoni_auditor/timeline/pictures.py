"""The two pictures: a certificate's life in lanes, an issuer's in months."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from tomoni.events.vocabulary import Words
from tomoni_auditor.timeline.drawing import LEFT, RIGHT, Axis, axis_over, bar, line, mark, text
from tomoni_auditor.timeline.life import CertificateLife, IssuerLife, Moment, Standing

STANDINGS: Final[dict[Standing, Words]] = {
    "valid": Words("有効", "valid"),
    "conditional": Words("条件付き", "conditional"),
    "not-valid": Words("無効", "not valid"),
    "unknown": Words("不明", "unknown"),
}
_LANE: Final = 70
_NEAR: Final = timedelta(days=3 * 365)
_APART: Final = 24
"""Between marks that would lie on each other."""


def draw_certificate(life: CertificateLife) -> tuple[str, int]:
    """Return the picture of a certificate and its height."""
    days = [span.first for span in life.spans] + [span.last for span in life.spans if span.last is not None]
    days += [day for document in life.documents for day in document if day is not None]
    days += [moment.written_on for moment in life.moments if moment.written_on is not None]
    axis = axis_over(_near(days, [moment.written_on for moment in life.moments if moment.written_on is not None]))
    marks, rows = _marks(axis, life.moments, 2 * _LANE + 45)
    bottom = 2 * _LANE + 45 + rows * _APART
    parts = [axis.draw(10, bottom), *_lane(20, Words("効力", "Standing"))]
    for span in life.spans:
        words = STANDINGS[span.standing]
        parts += _span(axis, 20, span.first, span.last, span.standing, f"{words.ja} {words.en}")
    parts += _lane(20 + _LANE, Words("書面", "Documents"))
    for number, (first, last) in enumerate(life.documents, 1):
        kind = "document" if last is None else "replaced"
        parts += _span(axis, 20 + _LANE, first, last, kind, f"書面{number} document {number}")
    parts += [*_lane(20 + 2 * _LANE, Words("記録", "Entries")), *marks]
    return "\n".join(parts), int(bottom + 40)


def draw_issuer(life: IssuerLife) -> tuple[str, int]:
    """Return the picture of an issuer and its height."""
    months = sorted({*life.issued, *life.ended})
    days = [*months, *(moment.written_on for moment in life.moments if moment.written_on is not None)]
    if not days:
        return text(LEFT, 40, "まだ記録がありません。 Nothing is written yet."), 80
    axis = axis_over(days)
    most = max([*life.issued.values(), *(abs(count) for count in life.ended.values()), 1])
    marks, rows = _marks(axis, life.moments, 285)
    bottom = 285 + rows * _APART
    width = max(3.0, min(24.0, (RIGHT - LEFT) * 26 / max(1, (axis.last - axis.first).days)))
    parts = [
        axis.draw(10, bottom),
        *_lane(80, Words("交付", "Issued")),
        *_lane(145, Words("終了", "Ended")),
        line(LEFT, 141, RIGHT),
    ]
    for month in months:
        up, down = 120 * life.issued[month] / most, 100 * max(0, life.ended[month]) / most
        if up:
            parts.append(bar(axis.x(month), 140 - up, width, up, "valid"))
        if down:
            parts.append(bar(axis.x(month), 142, width, down, "not-valid"))
    parts += [
        text(LEFT - 8, 24, str(most), "small", anchor="end"),
        *_lane(260, Words("宣言など", "Declarations")),
        *marks,
    ]
    return "\n".join(parts), int(bottom + 40)


def _near(days: Sequence[date], written: Sequence[date]) -> list[date]:
    """Return the days within some years of those on which something was written: others would crush the picture."""
    return [day for day in days if any(abs(day - one) < _NEAR for one in written)] or list(days)


def _lane(top: float, words: Words) -> list[str]:
    return [text(10, top + 20, words.ja, "lane"), text(10, top + 38, words.en, "small")]


def _span(axis: Axis, top: float, first: date, last: date | None, kind: str, label: str) -> list[str]:
    start, end = axis.x(first), RIGHT if last is None else axis.x(last)
    drawn = [bar(start, top, end - start, 40, kind)]
    if end - start > 9 * len(label):
        drawn.append(text(start + 8, top + 25, label + (" →" if last is None else ""), "label"))
    return drawn


def _marks(axis: Axis, moments: Sequence[Moment], top: float) -> tuple[list[str], int]:
    """Return the marks of entries, one below the other where they would overlap, and how many rows they take."""
    drawn: list[str] = []
    ends: list[float] = []
    for number, moment in enumerate(moments, 1):
        if moment.written_on is None:
            continue
        x = axis.x(moment.written_on)
        row = next((row for row, end in enumerate(ends) if x - end >= _APART), len(ends))
        ends[row : row + 1] = [x]
        drawn.append(mark(x, top + row * _APART, number))
    return drawn, len(ends)
