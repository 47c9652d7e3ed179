"""docs/recognition.md against the service: every row over HTTP, and every reason and outcome in a row."""

from datetime import date
from pathlib import Path
from typing import get_args

from tests.federation.test_recognition_answers import CHARTER
from tests.federation.towns import Town
from tests.federation.truth_table import ISSUER, NETWORKS, TABLE, join, page
from tomoni.documents import new_handle
from tomoni.events import jurisdiction as j
from tomoni.history.recognition import Outcome
from tomoni.history.texts import RANKING_TEXTS, TEXTS
from tomoni.jurisdictions import all_jurisdictions

PAGE = Path(__file__).parents[2] / "docs" / "recognition.md"


def test_the_published_table_is_the_one_that_is_tested():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_outcome_reason_and_ranking_has_a_row():
    assert {row.outcome for row in TABLE} == set(get_args(Outcome))
    assert {reason for row in TABLE for reason in row.reasons} == set(TEXTS)
    assert {reason for row in TABLE for reason in row.considered} >= set(RANKING_TEXTS)


def documents(issuer):
    ended, of_ended = issuer.issue()
    issuer.revoke(ended)
    replaced, of_replaced = issuer.issue()
    issuer.reissue(replaced)
    return {
        "valid": issuer.issue()[1],
        "conditional": issuer.issue(conditional_until=date(2026, 12, 31))[1],
        "familyship": issuer.issue(kind="familyship")[1],
        "ended": of_ended,
        "replaced": of_replaced,
        "missing": new_handle(),
    }


async def test_every_row_of_the_table_is_answered_so_over_http(desk):
    codes = [one.code for one in all_jurisdictions() if one.code not in {ISSUER, "271004"}]
    issuer, *receivers = towns = [Town(ISSUER), *(Town(code) for code in codes[: len(TABLE)])]
    await desk.federation.admit(*towns)
    handles = documents(issuer)
    for name, changes in NETWORKS.items():
        await desk.post("/v1/networks", CHARTER | {"network": name} | changes, "secretariat")
        join(issuer, name)
        if name != "unaccepted":
            await accept(desk, name, issuer)
    join(issuer, "left", j.NetworkLeft, date(2026, 10, 1))
    heard = [issuer]
    for row, town in zip(TABLE, receivers, strict=True):
        if row.says is not None:
            row.says(town)
            for name in (one.removeprefix("network/") for one in town.versions if one.startswith("network/")):
                await accept(desk, name, town)
            town.issue()  # a log with nothing in it has nothing to prove
            heard.append(town)
    await desk.hear(*heard)
    for row, town in zip(TABLE, receivers, strict=True):
        body = {"issuer": ISSUER, "receiver": town.code, "service": "public-housing", "purpose": "counter"}
        body |= {"handle": handles[row.document]} | row.asked
        answer = (await desk.post("/v1/recognition", body, subject=row.case)).json()
        told = (
            answer["decision"],
            tuple(reason["code"] for reason in answer["reasons"]),
            answer.get("pattern", "–"),
            tuple(one["reason"] for one in answer.get("considered", ())),
        )
        assert told == (row.outcome, row.reasons, row.pattern, row.considered), row.case


async def accept(desk, name, town):
    body = {"member": town.code, "effective_on": "2026-04-01"}
    assert (await desk.post(f"/v1/networks/{name}/members", body, "secretariat")).status_code == 200
