"""Arrangements as they are in Japan: who recognises whom, how and since when (public pages of the towns)."""

from datetime import date

FUKUOKA, KUMAMOTO = "401307", "431001"
TOKYO, SHIBUYA, SETAGAYA, IBARAKI = "130001", "131130", "131121", "080004"
YOKOHAMA, AMAGASAKI = "141003", "282022"
KAGOSHIMA, IBUSUKI = "462012", "462101"
MIYAZAKI, MIYAKONOJO = "452017", "452025"

NEW_CERTIFICATE = ("new-certificate",)
COUNTERS = ("public-housing", "hospital-visit")

DECLARED = (
    # receiver, issuers, what it says
    (KUMAMOTO, (FUKUOKA,), {"pattern": "A", "services": COUNTERS, "effective_from": date(2019, 10, 30)}),
    (FUKUOKA, (KUMAMOTO,), {"pattern": "A", "services": COUNTERS, "effective_from": date(2019, 10, 30)}),
    (MIYAKONOJO, (MIYAZAKI,), {"pattern": "C", "services": NEW_CERTIFICATE, "effective_from": date(2023, 4, 1)}),
    (IBARAKI, (TOKYO,), {"pattern": "D", "services": NEW_CERTIFICATE, "effective_from": date(2025, 4, 1)}),
    (TOKYO, (IBARAKI,), {"pattern": "D", "services": NEW_CERTIFICATE, "effective_from": date(2025, 4, 1)}),
    (SETAGAYA, (TOKYO, SHIBUYA), {"pattern": "E", "services": COUNTERS, "effective_from": date(2022, 11, 1)}),
    (IBUSUKI, (KAGOSHIMA,), {"pattern": "B", "services": NEW_CERTIFICATE, "effective_from": date(2024, 4, 1)}),
    (
        AMAGASAKI,
        (SETAGAYA, YOKOHAMA),
        {"pattern": "B", "services": NEW_CERTIFICATE, "effective_from": date(2026, 4, 1)},
    ),
)
"""Of Fukuoka–Kumamoto and of Tokyo–Ibaraki the days are real; the others are sample days. Amagasaki takes
partnerships alone, as every one of these."""

GROWTH = (
    (date(2024, 11, 1), 169),
    (date(2025, 4, 1), 242),
    (date(2025, 7, 1), 257),
    (date(2025, 9, 1), 261),
    (date(2025, 10, 1), 284),
)
"""How many towns were in the national Network from a day on (パートナーシップ制度自治体間連携ネットワーク)."""

OUTSIDE = frozenset({TOKYO, YOKOHAMA})
"""Outside at the start."""

NAMED = (AMAGASAKI, "092061", "232301")
"""Members that this sample names first: Amagasaki, Nikko, Nisshin. The other members are sample data."""

BY_NETWORK = {"pattern": "B", "services": NEW_CERTIFICATE, "effective_from": date(2024, 1, 1)}
"""What a member declares of the Network: continuation without a new oath."""
