"""Kana to romaji: modified Hepburn as municipalities write it in plain ASCII.

Long vowels are not marked (オオサカ is Osaka, トウキョウ is Tokyo, シンジュク is Shinjuku). ん is always `n`, without
an apostrophe (Gunma, not Gumma; Nanyo, not Nan'yo). ッ doubles the consonant (`t` before `ch`). Where two vowels meet
between two words they are not one long vowel, and kana cannot tell: a `|` in the text says so (セト|ウチ is
Setouchi, but コウチ is Kochi).
"""

import re

BOUNDARY = "|"

_MORAE = {
    "ア": "a", "イ": "i", "ウ": "u", "エ": "e", "オ": "o",
    "カ": "ka", "キ": "ki", "ク": "ku", "ケ": "ke", "コ": "ko",
    "ガ": "ga", "ギ": "gi", "グ": "gu", "ゲ": "ge", "ゴ": "go",
    "サ": "sa", "シ": "shi", "ス": "su", "セ": "se", "ソ": "so",
    "ザ": "za", "ジ": "ji", "ズ": "zu", "ゼ": "ze", "ゾ": "zo",
    "タ": "ta", "チ": "chi", "ツ": "tsu", "テ": "te", "ト": "to",
    "ダ": "da", "ヂ": "ji", "ヅ": "zu", "デ": "de", "ド": "do",
    "ナ": "na", "ニ": "ni", "ヌ": "nu", "ネ": "ne", "ノ": "no",
    "ハ": "ha", "ヒ": "hi", "フ": "fu", "ヘ": "he", "ホ": "ho",
    "バ": "ba", "ビ": "bi", "ブ": "bu", "ベ": "be", "ボ": "bo",
    "パ": "pa", "ピ": "pi", "プ": "pu", "ペ": "pe", "ポ": "po",
    "マ": "ma", "ミ": "mi", "ム": "mu", "メ": "me", "モ": "mo",
    "ヤ": "ya", "ユ": "yu", "ヨ": "yo",
    "ラ": "ra", "リ": "ri", "ル": "ru", "レ": "re", "ロ": "ro",
    "ワ": "wa", "ヲ": "o", "ン": "n", "ヴ": "vu",
}  # fmt: skip
_GLIDES = {"ャ": "a", "ュ": "u", "ョ": "o"}
_SMALL_VOWELS = {"ァ": "a", "ィ": "i", "ゥ": "u", "ェ": "e", "ォ": "o"}
_SILENT_Y = ("sh", "ch", "j")
_LONG = ((re.compile(r"o[ou]"), "o"), (re.compile(r"uu"), "u"))


def katakana(text: str) -> str:
    """Return the text with hiragana as katakana; everything else stays."""
    return "".join(chr(ord(char) + 0x60) if "ぁ" <= char <= "ゖ" else char for char in text)


def hepburn(kana: str) -> str:
    """Return kana (either script, with `|` between words whose vowels stay apart) as lower-case ASCII romaji.

    Raises ValueError on a character that is no kana.
    """
    return "".join(_collapse(_spell(word)) for word in katakana(kana).split(BOUNDARY))


def _spell(kana: str) -> str:
    spelled = ""
    double = False
    for char in kana:
        if char == "ッ":
            double = True
        elif char in _GLIDES and spelled.endswith("i"):
            stem = spelled[:-1]
            spelled = stem + ("" if stem.endswith(_SILENT_Y) else "y") + _GLIDES[char]
        elif char in _SMALL_VOWELS and spelled:
            spelled = spelled[:-1] + _SMALL_VOWELS[char]
        elif char == "ー" and spelled:
            double = False
        elif char in _MORAE:
            mora = _MORAE[char]
            if double:
                spelled += "t" if mora.startswith("ch") else mora[0]
            spelled += mora
            double = False
        else:
            raise ValueError("only kana can be written in romaji")
    return spelled


def _collapse(spelled: str) -> str:
    """Write long vowels once: ou, oo and uu. `ei` and `ii` stay, as in Keisei and Niigata."""
    for pattern, vowel in _LONG:
        spelled = pattern.sub(vowel, spelled)
    return spelled
