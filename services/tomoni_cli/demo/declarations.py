"""What the five towns of the tour declare about each other: samples, one of each pattern, not what they have agreed."""

from collections.abc import Sequence
from dataclasses import dataclass

from tomoni_cli.demo.api import Body
from tomoni_cli.demo.towns import AMAGASAKI, SETAGAYA, SHIBUYA, TOKYO, YOKOHAMA, Town


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a receiver declares in its own log."""

    receiver: Town
    pattern: str
    issuers: Sequence[Town]
    services: Sequence[str]
    effective_from: str
    conditions: Sequence[str] = ("identity-document",)

    def body(self) -> Body:
        """Return the command's body."""
        return {
            "pattern": self.pattern,
            "issuers": {"codes": [town.code for town in self.issuers]},
            "kinds": ["partnership"],
            "services": list(self.services),
            "effective_from": self.effective_from,
            "conditions": list(self.conditions),
        }


SURRENDER = ("consent-to-notify", "identity-document", "original-surrendered")

DECLARATIONS = (
    Declaration(
        receiver=SETAGAYA,
        pattern="E",
        issuers=(TOKYO, SHIBUYA),
        services=("hospital-explanation", "hospital-visit", "public-housing"),
        effective_from="2022-11-01",
    ),
    Declaration(
        receiver=AMAGASAKI,
        pattern="B",
        issuers=(YOKOHAMA, SHIBUYA),
        services=("new-certificate",),
        effective_from="2024-11-01",
        conditions=SURRENDER,
    ),
    # Mutual use is two declarations: each speaks for itself.
    Declaration(
        receiver=TOKYO, pattern="A", issuers=(YOKOHAMA,), services=("public-housing",), effective_from="2025-04-01"
    ),
    Declaration(
        receiver=YOKOHAMA, pattern="A", issuers=(TOKYO,), services=("public-housing",), effective_from="2025-04-01"
    ),
    Declaration(
        receiver=SETAGAYA,
        pattern="C",
        issuers=(YOKOHAMA,),
        services=("new-certificate",),
        effective_from="2025-04-01",
        conditions=SURRENDER,
    ),
    Declaration(
        receiver=TOKYO, pattern="D", issuers=(SHIBUYA,), services=("new-certificate",), effective_from="2025-04-01"
    ),
)


def of(receiver: Town) -> list[Declaration]:
    """Return what a town declares."""
    return [one for one in DECLARATIONS if one.receiver == receiver]
