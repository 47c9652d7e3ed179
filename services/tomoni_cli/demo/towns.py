"""The five jurisdictions of the tour, with their real codes and rules."""

from dataclasses import dataclass

FEDERATION = "tomoni.example"


@dataclass(frozen=True, kw_only=True)
class Town:
    """A jurisdiction with a node of its own in the demonstration; `preset` names its rules."""

    code: str
    name: str
    preset: str


TOKYO = Town(code="130001", name="Tokyo Metro 東京都", preset="tokyo")
SHIBUYA = Town(code="131130", name="Shibuya 渋谷区", preset="shibuya")
SETAGAYA = Town(code="131121", name="Setagaya 世田谷区", preset="setagaya")
YOKOHAMA = Town(code="141003", name="Yokohama 横浜市", preset="yokohama")
AMAGASAKI = Town(code="282022", name="Amagasaki 尼崎市", preset="amagasaki")

TOWNS = (TOKYO, SHIBUYA, SETAGAYA, YOKOHAMA, AMAGASAKI)
