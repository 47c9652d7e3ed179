"""The page around a picture: words for everybody, in Japanese and English, and a table that says all that is drawn."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tomoni.events.vocabulary import Words
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni_auditor.timeline.drawing import WIDTH
from tomoni_auditor.timeline.life import CertificateLife, IssuerLife, Moment
from tomoni_auditor.timeline.pictures import STANDINGS, draw_certificate, draw_issuer

_STYLE: Final = """
body { font: 16px/1.7 "Noto Sans JP", "Hiragino Sans", sans-serif; color: #1a1a1c; background: #fff; margin: 0 auto;
  max-width: 60rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.4; } h2 { font-size: 1.2rem; margin-top: 2rem; }
[lang=en] { color: #4d4d4d; } h1 [lang=en], h2 [lang=en], caption [lang=en], td [lang=en] { display: block; }
figure { margin: 1.5rem 0; overflow-x: auto; } svg { width: 100%; min-width: 40rem; height: auto; display: block; }
svg text { font-size: 14px; fill: #1a1a1c; } svg .small { font-size: 12px; fill: #4d4d4d; }
svg .lane { font-weight: bold; } svg .on { fill: #fff; font-size: 12px; font-weight: bold; }
svg .tick { stroke: #d0d0d0; } svg .axis { stroke: #1a1a1c; }
@media print { body { padding: 0; } svg { min-width: 0; } tr { break-inside: avoid; } }
svg rect { stroke: #1a1a1c; stroke-width: 1; } svg .mark { fill: #0017c1; }
svg .valid { fill: #9bd4b5; } svg .conditional { fill: #fff0b3; stroke-dasharray: 6 3; }
svg .not-valid { fill: #d0d0d0; }
svg .unknown { fill: #fff; stroke-dasharray: 2 3; } svg .document { fill: #c5d7fb; }
svg .replaced { fill: #fff; stroke-dasharray: 6 3; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: bold; margin: 1rem 0 .5rem; }
th, td { border: 1px solid #949494; padding: .4rem .6rem; text-align: left; vertical-align: top; }
th { background: #f2f2f2; }
td.number { text-align: right; }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_ENTRIES: Final = Words("記録の一覧", "The entries")


def certificate_page(life: CertificateLife) -> str:
    """Return the page of a certificate."""
    place = _place(life.code)
    title = Words(f"証明書の経過（{place.ja}）", f"The life of a certificate of {place.en}")
    said = Words(
        "".join(
            f"{span.first}から{'現在' if span.last is None else f'{span.last}'}まで{STANDINGS[span.standing].ja}。"
            for span in life.spans
        ),
        " ".join(
            f"From {span.first} {'on' if span.last is None else f'to {span.last}'}: {STANDINGS[span.standing].en}."
            for span in life.spans
        ),
    )
    standings = _table(
        Words("効力", "Standing"),
        (Words("初日", "First day"), Words("最終日", "Last day"), Words("効力", "Standing")),
        ((f"{one.first}", f"{one.last or '–'}", STANDINGS[one.standing]) for one in life.spans),
    )
    about = Words(f"証明書 {life.certificate}", f"Certificate {life.certificate}")
    return _page(life, title, about, said, draw_certificate(life), standings)


def issuer_page(life: IssuerLife) -> str:
    """Return the page of an issuer."""
    place = _place(life.code)
    title = Words(f"{place.ja}の記録の経過", f"The history of {place.en}")
    issued, ended = sum(life.issued.values()), sum(life.ended.values())
    said = Words(
        f"交付 {issued}件、終了 {ended}件（取り消しを除く）。",
        f"{issued} certificates issued, {ended} ended (reinstated ones left out).",
    )
    months = _table(
        Words("月ごとの件数", "By month"),
        (
            Words("月", "Month"),
            Words("交付", "Issued"),
            Words("終了（取り消しを除く）", "Ended, less those reinstated"),
        ),
        (
            (f"{month:%Y-%m}", str(life.issued[month]), str(life.ended[month]))
            for month in sorted({*life.issued, *life.ended})
        ),
    )
    about = Words(f"団体コード {life.code}", f"Jurisdiction {life.code}")
    return _page(life, title, about, said, draw_issuer(life), months)


def _page(
    life: CertificateLife | IssuerLife, title: Words, about: Words, said: Words, picture: tuple[str, int], table: str
) -> str:
    drawn, height = picture
    source = Words(
        f"署名されたチェックポイントの下にある{life.size}件の記録から作成。日付は日本の暦日、記録日は発行者の申告による。",
        f"Made from the {life.size} entries under the log's checkpoint. Days are days in Japan; when an entry was "
        "written is its writer's word.",
    )
    return f"""<!doctype html>
<html lang="ja">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title.ja)} – {escape(title.en)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{_both(title)}</h1>
<p>{_both(about, " / ")}</p>
<figure tabindex="0" aria-labelledby="picture-title">
<svg role="img" aria-labelledby="picture-title picture-text" viewBox="0 0 {WIDTH} {height}">
<title id="picture-title">{escape(title.ja)} {escape(title.en)}</title>
<desc id="picture-text">{escape(said.ja)} {escape(said.en)}</desc>
{drawn}
</svg>
<figcaption>{_both(said, " ")}</figcaption>
</figure>
<h2>{_both(Words("表", "As tables"))}</h2>
{table}{_moments(life.moments)}
<p>{_both(source, " ")}</p>
</main>
</body>
</html>
"""


def _moments(moments: Iterable[Moment]) -> str:
    return _table(
        _ENTRIES,
        (Words("番号", "No."), Words("記録日", "Written on"), Words("位置", "Position"), Words("内容", "What it says")),
        (
            (str(number), str(one.written_on or "–"), str(one.position), one.words)
            for number, one in enumerate(moments, 1)
        ),
    )


def _table(caption: Words, heads: Sequence[Words], rows: Iterable[Sequence[str | Words]]) -> str:
    head = "".join(f'<th scope="col">{_both(words, " ")}</th>' for words in heads)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f"<table>\n<caption>{_both(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def _cell(value: str | Words) -> str:
    if isinstance(value, Words):
        return f"<td>{_both(value)}</td>"
    return f'<td class="number">{escape(value)}</td>' if value.isdigit() else f"<td>{escape(value)}</td>"


def _both(words: Words, between: str = "") -> str:
    return f'{escape(words.ja)}{between}<span lang="en">{escape(words.en)}</span>'


def _place(code: str) -> Words:
    try:
        place = by_code(code)
    except JurisdictionError:
        return Words(code, code)
    return Words(place.name, place.romaji)
