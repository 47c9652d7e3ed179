"""The arrangements of Japan as cases: what a couple is told, over HTTP."""

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec import UNSET

from tests.federation import real_cases as real
from tests.federation.test_recognition_answers import CHARTER, reasons
from tests.federation.towns import Town
from tests.federation.truth_table import join
from tomoni.events.types import IssuerSet
from tomoni.jurisdictions import all_jurisdictions


@pytest.fixture
async def japan(desk):
    """Every town of the declared cases, with what it has declared."""
    codes = sorted({code for receiver, issuers, _ in real.DECLARED for code in (receiver, *issuers)})
    towns = {code: Town(code) for code in codes}
    await desk.federation.admit(*towns.values())
    for receiver, issuers, says in real.DECLARED:
        towns[receiver].declare(*issuers, **says)
    return towns


async def test_the_real_cases(desk, japan):
    of_old = date(2019, 9, 1)
    couple = {code: town.issue(certified_on=of_old)[1] for code, town in japan.items()}
    family = japan[real.SETAGAYA].issue(kind="familyship")[1]
    de_facto = japan[real.YOKOHAMA].issue(kind="de-facto-partnership")[1]
    mover = japan[real.TOKYO].issue(conditional_until=date(2026, 11, 23))[1]
    await desk.hear(*japan.values())

    async def told(issuer, receiver, handle=None, **fields):
        answer = await desk.recognition(japan[issuer], handle or couple[issuer], japan[receiver], **fields)
        return answer.get("pattern"), *reasons(answer)

    applies = ("recognised", ["arrangement-applies"])
    new = {"service": "new-certificate"}
    assert await told(real.FUKUOKA, real.KUMAMOTO) == ("A", *applies)
    assert await told(real.KUMAMOTO, real.FUKUOKA, on="2019-10-30") == ("A", *applies)
    assert (await told(real.FUKUOKA, real.KUMAMOTO, on="2019-10-29"))[1:] == ("not-recognised", ["date-not-covered"])
    assert await told(real.MIYAZAKI, real.MIYAKONOJO, **new) == ("C", *applies)
    assert await told(real.TOKYO, real.IBARAKI, **new, on="2025-04-01") == ("D", *applies)
    assert (await told(real.TOKYO, real.IBARAKI, **new, on="2025-03-31"))[1:] == (
        "not-recognised",
        ["date-not-covered"],
    )
    assert await told(real.KAGOSHIMA, real.IBUSUKI, **new) == ("B", *applies)
    assert (await told(real.IBUSUKI, real.KAGOSHIMA, **new))[1:] == ("not-recognised", ["no-arrangement"])
    # a couple with Tokyo's certificate and a ward's: either counts in another ward, each on its own
    assert await told(real.TOKYO, real.SETAGAYA) == ("E", *applies)
    assert await told(real.SHIBUYA, real.SETAGAYA) == ("E", *applies)
    # a familyship, and a de-facto couple of different sexes, into a town that takes partnerships alone
    kind = ("not-recognised", ["kind-not-covered"])
    assert (await told(real.SETAGAYA, real.AMAGASAKI, family, **new))[1:] == kind
    assert (await told(real.YOKOHAMA, real.AMAGASAKI, de_facto, **new))[1:] == kind
    # a mover's certificate on its last day, and on the day it lapses: unknown until the issuer is heard of again
    last_day = ("recognised", ["arrangement-applies", "certificate-conditional"])
    assert (await told(real.TOKYO, real.SETAGAYA, mover))[1:] == last_day
    desk.now = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    assert (await told(real.TOKYO, real.SETAGAYA, mover))[1:] == ("unknown", ["status-unknown"])
    desk.federation.now = desk.now
    await desk.hear(japan[real.TOKYO], at=desk.now)
    assert (await told(real.TOKYO, real.SETAGAYA, mover))[1:] == ("not-recognised", ["status-not-valid"])


async def test_the_national_network_grows_on_its_days_and_no_town_is_in_by_its_own_word(desk):
    codes = [one.code for one in all_jurisdictions() if one.code not in real.OUTSIDE]
    members = [*real.NAMED, *(code for code in codes if code not in real.NAMED)][: real.GROWTH[-1][1]]
    towns = {code: Town(code) for code in (*members, real.YOKOHAMA)}
    await desk.federation.admit(*towns.values())
    network = {"network": "national", "pattern": "B", "services": ["new-certificate"], "conditions": []}
    charter = CHARTER | network | {"effective_on": "2024-11-01"}
    assert (await desk.post("/v1/networks", charter, "secretariat")).status_code == 200
    chartered = await desk.federation.pool.fetchval("SELECT size FROM log.head")
    since = {}
    for day, count in real.GROWTH:
        for code in members[len(since) : count]:
            since[code] = day
            join(towns[code], "national", on=day)
            await desk.office.accept_member("national", code, day, until=UNSET)
    join(towns[real.YOKOHAMA], "national", on=date(2024, 11, 1))
    events = await desk.federation.pool.fetchval("SELECT size FROM log.head") - chartered
    assert events + sum(town.size for code, town in towns.items() if code != real.YOKOHAMA) == 568
    receiver = towns[members[0]]
    receiver.declare(issuers=IssuerSet(network="national"), **real.BY_NETWORK)
    firsts = [members[start] for start in (1, 169, 242, 257, 261)]
    handles = {code: towns[code].issue(certified_on=date(2024, 1, 1))[1] for code in (*firsts, real.YOKOHAMA)}
    await desk.hear(*towns.values())
    for code in firsts:
        asked = {"service": "new-certificate", "on": str(since[code])}
        answer = await desk.recognition(towns[code], handles[code], receiver, **asked)
        assert (answer.get("pattern"), *reasons(answer)) == ("B", "recognised", ["arrangement-applies"])
        asked["on"] = str(since[code] - timedelta(days=1))
        before = await desk.recognition(towns[code], handles[code], receiver, **asked)
        too_early = "no-charter" if since[code] == date(2024, 11, 1) else "issuer-not-member"
        assert reasons(before) == ("not-recognised", [too_early])
    outside = await desk.recognition(towns[real.YOKOHAMA], handles[real.YOKOHAMA], receiver, service="new-certificate")
    assert reasons(outside) == ("not-recognised", ["issuer-not-member"])
