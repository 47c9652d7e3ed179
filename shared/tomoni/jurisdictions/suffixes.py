"""The suffixes of names: what a jurisdiction is, written after its proper name."""

SUFFIXES = {
    "都": ("ト",),
    "府": ("フ",),
    "県": ("ケン",),
    "市": ("シ",),
    "区": ("ク",),
    "町": ("チョウ", "マチ"),
    "村": ("ソン", "ムラ"),
}
"""Kanji and how it may be read. 道 is none: Hokkaido is never called Hokkai."""


def split_name(name: str) -> tuple[str, str]:
    """Return a name's proper part and its suffix: 渋谷 and 区; 北海道 and nothing."""
    return (name[:-1], name[-1]) if name[-1] in SUFFIXES else (name, "")


def split_kana(name: str, kana: str) -> tuple[str, str]:
    """Return the reading of a name's proper part and of its suffix; raise ValueError where the two do not fit."""
    _, suffix = split_name(name)
    if not suffix:
        return kana, ""
    for reading in SUFFIXES[suffix]:
        if kana.endswith(reading):
            return kana.removesuffix(reading), reading
    raise ValueError(f"{kana} is no reading of {name}")
