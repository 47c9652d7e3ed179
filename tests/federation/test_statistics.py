"""Statistics over HTTP: what is published when, who sees it, and an attacker that asks for everything."""

import asyncio
import csv
import io
from datetime import UTC, date, datetime

import msgspec
import pytest

from tests.federation.towns import unknown_event
from tomoni.settings import SettingsError
from tomoni_federation.schema import prepare
from tomoni_federation.settings import StatisticsSettings
from tomoni_federation.statistics import sql
from tomoni_federation.statistics.publish import Publisher, end_of_next_month, last_day_of_month_before

N = 10
OCTOBER = datetime(2025, 11, 10, tzinfo=UTC)
YEAR_OVER = datetime(2026, 1, 10, tzinfo=UTC)


async def publish(desk, at, threshold=N):
    await Publisher(desk.federation.pool, threshold, clock=lambda: at).publish()


async def ask(desk, *, on=None, prefecture="13", scope="auditor", bound=None):
    query = f"?prefecture={prefecture}" + (f"&on={on}" if on else "")
    answer = await desk.get(f"/v1/statistics{query}", scope, **(bound or {}))
    assert answer.status_code == 200, answer.text
    return answer.json()


def cells(answer):
    return {(row["area"], row["closes_on"], row.get("kind"), row["measure"]): row["at_least"] for row in answer["rows"]}


def issue(town, count, certified_on, **fields):
    return [town.issue(certified_on=certified_on, **fields)[0] for _ in range(count)]


async def test_a_month_is_published_once_it_is_over_for_a_week(desk, shibuya):
    issue(shibuya, 23, date(2025, 10, 31))
    issue(shibuya, 12, date(2025, 10, 1), kind="familyship")
    issue(shibuya, 9, date(2025, 10, 1), kind="de-facto-partnership")
    issue(shibuya, 30, date(2025, 11, 1))
    await desk.hear(shibuya)
    await publish(desk, datetime(2025, 11, 7, 14, 59, tzinfo=UTC))
    assert (await ask(desk))["as_of"] == "2025-09-30"
    await publish(desk, datetime(2025, 11, 7, 15, tzinfo=UTC))  # midnight in Japan
    answer = await ask(desk)
    assert (answer["as_of"], answer["threshold"]) == ("2025-10-31", N)
    assert cells(answer) == {
        ("131130", "2025-10-31", "partnership", "certified"): 20,
        ("131130", "2025-10-31", "familyship", "certified"): 10,
    }
    assert answer["issuers"] == [
        {"code": "131130", "state": "counted", "fresh_as_of": "2026-11-23T03:00:00Z", "counted_from": "2025-09-30"}
    ]


async def test_a_day_sees_the_months_that_were_over_on_it(desk, shibuya):
    for month in (10, 11, 12):
        issue(shibuya, 10 * month, date(2025, month, 5))
    await desk.hear(shibuya)
    await publish(desk, OCTOBER)
    await publish(desk, datetime(2026, 2, 10, tzinfo=UTC))
    assert (await ask(desk, on="2025-10-30")) == {
        "prefecture": "13", "threshold": N, "as_of": None, "issuers": [], "rows": [],
    }  # fmt: skip
    assert set(cells(await ask(desk, on="2025-11-29")).values()) == {100}
    assert set(cells(await ask(desk, on="2025-11-30")).values()) == {100, 110}
    answer = await ask(desk)
    assert answer["as_of"] == "2026-01-31"
    assert [row["at_least"] for row in answer["rows"] if row["span"] == "year"] == [330, 330]
    assert {row["area"] for row in answer["rows"] if row["span"] == "year"} == {"13", "131130"}


async def test_standing_is_that_of_the_last_day_and_void_never_was(desk, shibuya):
    ended, void, later = (issue(shibuya, 12, date(2025, 10, 5)) for _ in range(3))
    issue(shibuya, 14, date(2025, 10, 6), conditional_until=date(2025, 10, 31))
    issue(shibuya, 17, date(2025, 10, 6), conditional_until=date(2025, 10, 30))
    for one in ended:
        shibuya.revoke(one, effective_on=date(2025, 12, 31))
    for one in void:
        shibuya.revoke(one, effect="void", effective_on=date(2025, 10, 5))
    for one in later:
        shibuya.revoke(one, effective_on=date(2026, 1, 1))
    await desk.hear(shibuya)
    await publish(desk, OCTOBER)
    await publish(desk, YEAR_OVER)
    assert cells(await ask(desk)) == {
        ("131130", "2025-10-31", "partnership", "certified"): 50,
        ("131130", "2025-10-31", "partnership", "conditional"): 10,
        ("131130", "2025-12-31", None, "certified"): 50,
        ("131130", "2025-12-31", None, "ended"): 40,  # 12, and 31 whose term ran out
        ("13", "2025-12-31", None, "certified"): 50,
    }


async def test_an_issuer_that_is_not_complete_is_missing_and_counted_once_it_is(desk, shibuya, setagaya):
    issue(shibuya, 20, date(2025, 10, 5))
    issue(setagaya, 20, date(2025, 10, 5))
    await desk.hear(shibuya)
    await desk.hear(setagaya, at=datetime(2025, 10, 31, 14, 59, tzinfo=UTC))
    await publish(desk, OCTOBER)
    answer = await ask(desk)
    assert {one["code"]: one["state"] for one in answer["issuers"]} == {"131121": "missing", "131130": "counted"}
    assert {area for area, *_ in cells(answer)} == {"131130"}
    await desk.hear(setagaya)
    await publish(desk, OCTOBER)
    assert await ask(desk) == answer  # what is published stays
    await publish(desk, datetime(2025, 12, 10, tzinfo=UTC))
    assert cells(await ask(desk))["131121", "2025-11-30", "partnership", "certified"] == 20


@pytest.mark.parametrize("fault", ["quarantined", "unknown", "halted", "never heard"])
async def test_an_issuer_whose_records_cannot_be_trusted_is_no_zero(desk, shibuya, fault):
    certificate, *_ = issue(shibuya, 20, date(2025, 10, 5))
    if fault == "unknown":
        shibuya.append(unknown_event(shibuya, None))
    if fault == "halted":
        shibuya.revoke(certificate)
        shibuya.revoke(certificate)
    if fault == "never heard":
        await desk.federation.take(*shibuya.messages())
    else:
        await desk.hear(shibuya)
    if fault == "quarantined":
        await desk.federation.pool.execute("UPDATE mirror.log SET state = 'quarantined'")
    await publish(desk, OCTOBER)
    answer = await ask(desk)
    assert [one["state"] for one in answer["issuers"]] == ["missing"]
    assert answer["rows"] == []


async def test_csv_says_the_same_and_names_those_missing(desk, shibuya, setagaya):
    issue(shibuya, 20, date(2025, 10, 5))
    await desk.hear(shibuya)
    await publish(desk, OCTOBER)
    headers = {"Authorization": f"Bearer {desk.token('auditor')}", "Accept": "text/csv"}
    by_accept = await desk.client.get("/v1/statistics?prefecture=13", headers=headers)
    answer = await desk.get("/v1/statistics?prefecture=13&format=csv", "auditor")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == by_accept.text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["area"], row["measure"], row["at_least"]) for row in rows] == [
        ("131130", "certified", "20"),
        ("131121", "missing", ""),
    ]


async def test_the_description_names_both_forms_of_the_answer(desk):
    described = (await desk.client.get("/schema/openapi.json")).json()["paths"]["/v1/statistics"]["get"]
    assert set(described["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    (example,) = described["responses"]["200"]["content"]["application/json"]["examples"].values()
    assert example["value"]["rows"][0]["at_least"] == 20


@pytest.mark.parametrize(
    "query",
    [
        "statistics?on=yesterday", "statistics?on=2026-02-30", "statistics?format=xml", "statistics?prefecture=131",
        "completeness?after=%00", "completeness?after=13", "completeness?limit=0",
    ],
)  # fmt: skip
async def test_parameters_that_cannot_be_read_are_refused(desk, query):
    answer = await desk.get(f"/v1/{query}", "aggregator", prefecture="13")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "malformed")


@pytest.mark.parametrize("on", ["0001-01-01", "9999-12-31"])
async def test_any_day_can_be_asked_about(desk, on):
    assert (await desk.get(f"/v1/statistics?on={on}", "aggregator", prefecture="13")).status_code == 200


async def test_an_aggregator_sees_its_own_prefecture_and_no_other(desk):
    bound = {"prefecture": "13"}
    for path in ("/v1/statistics", "/v1/completeness"):
        assert (await desk.get(path, "aggregator", **bound)).status_code == 200
        assert (await desk.get(f"{path}?prefecture=13", "aggregator", **bound)).status_code == 200
        refused = await desk.get(f"{path}?prefecture=27", "aggregator", **bound)
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "An aggregator asks about its own prefecture only.",
        )
        assert (await desk.get(path, "aggregator")).status_code == 403
        for digits in ("48", "00", "1", "", "xx"):
            assert (await desk.get(f"{path}?prefecture={digits}", "auditor")).status_code == 422
    assert (await desk.get("/v1/statistics", "auditor")).status_code == 400


async def test_a_federation_that_published_keeps_its_threshold(desk, shibuya):
    await publish(desk, OCTOBER)
    await Publisher(desk.federation.pool, N).check()
    with pytest.raises(SettingsError, match="set it back"):
        await Publisher(desk.federation.pool, 5).check()


async def test_of_two_processes_with_two_thresholds_one_publishes(desk, shibuya):
    publishers = [Publisher(desk.federation.pool, threshold, clock=lambda: OCTOBER) for threshold in (N, 5)]
    issue(shibuya, 17, date(2025, 10, 5))
    await desk.hear(shibuya)
    for publisher in publishers:
        await publisher.check()
    await publishers[0].publish()
    publishers[1]._clock = lambda: datetime(2025, 12, 10, tzinfo=UTC)
    with pytest.raises(SettingsError, match="set it back"):
        await publishers[1].publish()
    assert set(cells(await ask(desk)).values()) == {10}
    assert (await ask(desk))["as_of"] == "2025-10-31"


def test_a_threshold_that_hides_nobody_is_refused():
    assert msgspec.convert({"threshold": 5}, StatisticsSettings).threshold == 5
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"threshold": 4}, StatisticsSettings)


async def test_two_processes_publish_a_month_once(desk, shibuya):
    issue(shibuya, 20, date(2025, 10, 5))
    await desk.hear(shibuya)
    await asyncio.gather(*(publish(desk, OCTOBER) for _ in range(4)))
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM statistics.publication") == 1
    assert set(cells(await ask(desk)).values()) == {20}


async def test_what_was_published_cannot_be_changed_by_whoever_runs(desk, shibuya, database):
    issue(shibuya, 20, date(2025, 10, 5))
    await desk.hear(shibuya)
    await publish(desk, OCTOBER)
    await prepare(database.owner_dsn, database.runner)
    for change in ("UPDATE statistics.cell SET at_least = 1", "DELETE FROM statistics.part"):
        with pytest.raises(Exception, match="permission denied"):
            await desk.federation.pool.execute(change)


async def test_no_count_stands_in_a_log_line_or_a_metric(desk, shibuya, capsys):
    issue(shibuya, 7, date(2025, 10, 5))
    await desk.hear(shibuya)
    before = await desk.client.get("/metrics")
    await publish(desk, OCTOBER)
    await ask(desk)
    names = [line.split(" ")[0] for line in (await desk.client.get("/metrics")).text.splitlines()]
    assert [line.split(" ")[0] for line in before.text.splitlines()] == names
    assert not any("statistic" in name for name in names)
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""


@pytest.mark.parametrize("day", [date(2026, 1, 31), date(2028, 2, 29), date(2026, 2, 28), date(2026, 12, 31)])
def test_months_follow_each_other(day):
    following = end_of_next_month(day)
    assert last_day_of_month_before(following) == day


async def test_counting_is_by_sets_and_an_answer_reads_no_certificate(desk, shibuya):
    await desk.federation.as_owner(
        "INSERT INTO projection.certificate SELECT '131130', gen_random_uuid(), 1, 'partnership', "
        "sha256(n::text::bytea), '2025-10-05', NULL, NULL, NULL, NULL, false, n, n FROM generate_series(1, 100000) n"
    )
    await desk.federation.as_owner(
        "INSERT INTO statistics.cell SELECT '14', '2025-01-31'::date + n, 'month', '141003', 'partnership', "
        "'certified', 10 FROM generate_series(1, 20000) n"
    )
    await desk.federation.as_owner("ANALYZE projection.certificate; ANALYZE statistics.cell")
    await desk.hear(shibuya)

    async def plan(query, **given):
        for name, value in given.items():
            query = query.replace(name.replace("p", "$"), value)
        return "\n".join(row[0] for row in await desk.federation.pool.fetch("EXPLAIN " + query))

    counting = await plan(sql.COUNT, p1="'13'", p2="'2025-10-31'::date")
    assert "Anti Join" in counting
    assert "SubPlan" not in counting
    reading = await plan(sql.CELLS, p1="'13'", p2="'2025-10-31'::date")
    assert "Seq Scan" not in reading
    assert "Index" in reading
    await publish(desk, OCTOBER)
    assert cells(await ask(desk)) == {("131130", "2025-10-31", "partnership", "certified"): 100_000}
