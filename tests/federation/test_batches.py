"""Many questions in one request, as JSON and as lines: each has its answer or its problem, and spoils no other."""

import random
from datetime import date, timedelta

import httpx
import msgspec
import pytest

from tests.federation.towns import NOW, Town, unknown_event
from tomoni.documents import new_handle
from tomoni.events import jurisdiction as j
from tomoni.events.types import IssuerSet
from tomoni_federation.batches import MOST, MOST_LINE_BYTES

NDJSON = "application/x-ndjson"
BATCHES = ["/v1/status/batch", "/v1/recognition/batch"]


def kinds(answers):
    """Return the status or decision of each answer, and the kind of each problem."""
    return [
        one["type"].rpartition("/")[2] if "type" in one else one.get("decision", one.get("status")) for one in answers
    ]


async def lines(desk, path, content, *, accept=None, scope="verifier", kind=NDJSON, **bound):
    headers = {"Authorization": f"Bearer {desk.token(scope, **bound)}", "Content-Type": kind}
    if accept is not None:
        headers["Accept"] = accept
    return await desk.client.post(path, content=content, headers=headers)


def mixed(town, handle):
    """Return questions of which the second to sixth cannot be answered."""
    good = {"issuer": town.code, "handle": handle}
    return [
        good,
        good | {"handle": "SECRETHANDLESECRET"},
        good | {"issuer": "131131"},
        good | {"handle": 5},
        good | {"SECRET": "SECRET"},
        ["SECRET"],
        good | {"handle": new_handle()},
    ]


MIXED = ["handle-malformed", "jurisdiction-not-found", "malformed", "malformed", "malformed"]


async def test_a_question_that_cannot_be_answered_spoils_no_other(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    questions = mixed(shibuya, handle)
    statuses = await desk.post("/v1/status/batch", {"purpose": "counter", "documents": questions})
    assert statuses.status_code == 200
    assert kinds(statuses.json()["answers"]) == ["valid", *MIXED, "not-found"]
    shared = {"purpose": "counter", "receiver": setagaya.code, "service": "public-housing"}
    recognitions = await desk.post("/v1/recognition/batch", shared | {"questions": questions})
    assert recognitions.status_code == 200
    assert kinds(recognitions.json()["answers"]) == ["recognised", *MIXED, "not-recognised"]
    for answer in (statuses, recognitions):
        assert "SECRET" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        for one in answer.json()["answers"][1:6]:
            assert set(one) == {"type", "title", "status", "detail"}


async def test_a_question_says_itself_what_it_does_not_share(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    good = {"issuer": shibuya.code, "handle": handle}
    full = good | {"receiver": setagaya.code, "service": "public-housing"}
    questions = [full, good, full | {"service": "nursery"}, full | {"on": "2026-03-31"}, full | {"on": "2030-01-01"}]
    alone = await desk.post("/v1/recognition/batch", {"purpose": "counter", "questions": questions})
    expected = ["recognised", "malformed", "not-recognised", "not-recognised", "day-too-far-ahead"]
    assert kinds(alone.json()["answers"]) == expected
    shared = {"purpose": "counter", "receiver": setagaya.code, "service": "public-housing", "on": "2026-03-31"}
    answer = await desk.post("/v1/recognition/batch", shared | {"questions": [good, good | {"on": "2026-11-23"}]})
    assert [(one["decision"], one["on"]) for one in answer.json()["answers"]] == [
        ("not-recognised", "2026-03-31"),
        ("recognised", "2026-11-23"),
    ]


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"purpose": "SECRET"}, 422, "purpose-unknown"),
        ({"SECRET": 1}, 400, "malformed"),
        ({"documents": []}, 400, "malformed"),
        ({"documents": [{}] * (MOST + 1)}, 400, "malformed"),
        ({"documents": {}}, 400, "malformed"),
        ({"purpose": 5}, 400, "malformed"),
        ({"documents": [{}] * 61}, 429, "too-many-requests"),
    ],
)
async def test_the_whole_is_refused_for_what_is_wrong_with_the_whole(desk, change, status, kind):
    body = {"purpose": "counter", "documents": [{"issuer": "131130", "handle": "0" * 18}]} | change
    answer = await desk.post("/v1/status/batch", body)
    assert (answer.status_code, kinds([answer.json()])) == (status, [kind])
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    "body", [b'{"purpose":"counter","documents":[{"issuer":tru}]}', b'{"documents":[{}]', b"", b"\xff"]
)
async def test_what_is_no_json_at_all_is_refused_wholly(desk, body):
    answer = await lines(desk, "/v1/status/batch", body, kind="application/json")
    assert (answer.status_code, kinds([answer.json()])) == (400, ["malformed"])


@pytest.mark.parametrize("path", BATCHES)
async def test_another_media_type_is_refused(desk, path):
    answer = await lines(desk, path, b"{}", kind="text/plain")
    assert (answer.status_code, kinds([answer.json()])) == (415, ["unsupported-media-type"])


@pytest.mark.parametrize("path", BATCHES)
async def test_a_body_that_is_too_large_is_refused_as_json_and_as_lines(desk, path):
    for kind in (NDJSON, "application/json"):
        answer = await lines(desk, f"{path}?purpose=counter", b"x" * 262_145, kind=kind)
        assert (answer.status_code, kinds([answer.json()])) == (413, ["too-large"])


async def test_a_thousand_whole_questions_fit(desk):
    question = {"issuer": "131130", "handle": "0000-0000-0000-0000-00", "receiver": "131121", "on": "2026-11-23"}
    question |= {"service": "x-" + "y" * 38}
    answer = await desk.post("/v1/recognition/batch", {"purpose": "counter", "questions": [question] * MOST})
    assert answer.status_code == 429


async def test_lines_are_answered_by_lines_in_order_and_a_malformed_one_gets_its_problem(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    content = [msgspec.json.encode(one) for one in mixed(shibuya, handle)]
    content[3:3] = [b"{", b"", b"SECRET", b'"\xff"']
    body = b"\r\n".join(content) + b"\n"
    expected = [*MIXED[:2], *["malformed"] * 4, *MIXED[2:]]
    for path, first, last in (
        ("/v1/status/batch?purpose=counter", "valid", "not-found"),
        (
            "/v1/recognition/batch?purpose=counter&receiver=131121&service=public-housing&on=2026-11-23",
            "recognised",
            "not-recognised",
        ),
    ):
        answer = await lines(desk, path, body, accept=NDJSON)
        assert (answer.status_code, answer.headers["content-type"]) == (200, NDJSON)
        assert answer.content.endswith(b"\n")
        told = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        assert kinds(told) == [first, *expected, last]
        assert "SECRET" not in answer.text
        assert (await lines(desk, path, body)).json()["answers"] == told  # JSON is the default


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        (f"{NDJSON};q=0", "application/json"),
        (f"{NDJSON};q=x", "application/json"),
        (f"{NDJSON};q=0.5, application/json", "application/json"),
        (f"application/json;q=0.5, {NDJSON.upper()}", NDJSON),
        (f"application/json, {NDJSON}", NDJSON),
    ],
)
async def test_the_form_of_the_answer_is_the_one_preferred_whatever_the_question_was(desk, accept, kind):
    body = msgspec.json.encode({"purpose": "counter", "documents": [{}]})
    answer = await lines(desk, "/v1/status/batch", body, accept=accept, kind="application/json; charset=utf-8")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    ("query", "content", "status", "kind"),
    [
        ("", b"{}", 400, "malformed"),
        ("?purpose=SECRET", b"{}", 422, "purpose-unknown"),
        ("?purpose=counter&handle=SECRET", b"{}", 400, "malformed"),
        ("?purpose=counter", b"", 400, "malformed"),
        ("?purpose=counter", b"{}\n" * (MOST + 1), 400, "malformed"),
        ("?purpose=counter", b"\n" * (MOST + 1), 400, "malformed"),
        ("?purpose=counter", b"{}\n" * 61, 429, "too-many-requests"),
    ],
)
@pytest.mark.parametrize("path", BATCHES)
async def test_lines_are_refused_wholly_for_what_is_wrong_with_the_whole(desk, path, query, content, status, kind):
    answer = await lines(desk, path + query, content, accept=NDJSON)
    assert (answer.status_code, kinds([answer.json()])) == (status, [kind])
    assert "SECRET" not in answer.text


async def test_a_day_or_receiver_of_all_lines_that_cannot_be_one_is_refused_without_repeating_it(desk):
    for query in ("on=SECRET", "receiver=SECRET", "service=SECRET%20"):
        answer = await lines(desk, f"/v1/recognition/batch?purpose=counter&{query}", b"{}")
        assert (answer.status_code, "SECRET" in answer.text) == (400, False)


async def test_a_line_has_a_limit_of_its_own(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    good = msgspec.json.encode({"issuer": shibuya.code, "handle": handle})
    longest = good + b" " * (MOST_LINE_BYTES - len(good))
    answer = await lines(desk, "/v1/status/batch?purpose=counter", longest + b"\n" + longest + b" \n" + good)
    assert kinds(answer.json()["answers"]) == ["valid", "malformed", "valid"]


async def test_an_aggregator_is_refused_the_questions_about_another_prefecture_only(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    content = b"\n".join(msgspec.json.encode({"issuer": code, "handle": handle}) for code in ("141003", "131130"))
    for path in BATCHES:
        query = f"{path}?purpose=counter" + ("&receiver=131130&service=nursery" if "recognition" in path else "")
        answer = await lines(desk, query, content, scope="aggregator", prefecture="13")
        assert kinds(answer.json()["answers"])[0] == "forbidden"
        assert kinds(answer.json()["answers"])[1] in {"valid", "recognised"}
        assert (await lines(desk, query, content, scope="aggregator")).status_code == 403


async def a_country(desk, towns, chance):
    """Let towns issue, end, declare, withdraw, join and say what nobody can read; return every document's handle."""
    documents = []
    for town in towns:
        for _ in range(4):
            certificate, handle = town.issue(kind=chance.choice(["partnership", "familyship"]))
            documents.append((town, handle))
            if chance.random() < 0.3:
                town.revoke(certificate, effective_on=date(2026, 5, chance.randint(1, 28)))
        for _ in range(chance.randint(0, 3)):
            named = IssuerSet(prefecture="13") if chance.random() < 0.3 else IssuerSet(network="national")
            others = tuple(one.code for one in chance.sample(towns, 2))
            fields = {"issuers": named} if chance.random() < 0.5 else {}
            arrangement = town.declare(
                *(() if fields else others),
                **fields,
                pattern=chance.choice("BE"),
                services=(chance.choice(["public-housing", "new-certificate"]),),
                precedence=chance.randint(0, 1),
                keeps_recognised=chance.random() < 0.5,
            )
            if chance.random() < 0.3:
                town.withdraw(arrangement)
        if chance.random() < 0.7:
            day = date(2026, 4, chance.randint(1, 28))
            joined = town.event(j.NetworkJoined, j.NetworkMembershipData, "network/national", effective_on=day)
            town.append(joined)
        if chance.random() < 0.2:
            town.append(unknown_event(town, "network/national"))
    charter = {
        "network": "national",
        "name": "全国",
        "pattern": "B",
        "kinds": ["partnership", "familyship"],
        "services": ["public-housing", "new-certificate"],
        "effective_on": "2026-04-01",
    }
    assert (await desk.post("/v1/networks", charter, "secretariat")).status_code == 200
    for town in towns[:-1]:
        member = {"member": town.code, "effective_on": "2026-04-10"}
        assert (await desk.post("/v1/networks/national/members", member, "secretariat")).status_code == 200
    for town in towns:
        await desk.federation.take(*town.messages())
    beats = [town.heartbeat(NOW - timedelta(hours=chance.choice([0, 0, 0, 30]))) for town in towns]
    await desk.federation.take(heartbeats=beats)
    return documents


@pytest.mark.parametrize("seed", range(3))
async def test_many_are_answered_as_each_alone(desk, seed):
    chance = random.Random(seed)
    towns = [Town(code) for code in ("131130", "131121", "141003", "282022", "401307", "431001")]
    await desk.federation.admit(*towns)
    documents = await a_country(desk, towns, chance)
    questions = []
    for number in range(50):
        town, handle = chance.choice(documents)
        question = {
            "issuer": town.code,
            "handle": handle if chance.random() < 0.9 else new_handle(),
            "receiver": chance.choice(towns).code if chance.random() < 0.95 else "011002",
            "service": chance.choice(["public-housing", "new-certificate", "nursery"]),
        }
        if chance.random() < 0.6:
            question["on"] = str(date(2026, 3, 25) + timedelta(days=chance.randint(0, 400)))
        questions.append(question)
        if number % 25 == 24:
            questions.append({"issuer": town.code, "handle": "x", "receiver": town.code, "service": "nursery"})
    for scope in ("verifier", "auditor"):
        body = {"purpose": "counter", "questions": questions}
        together = await desk.post("/v1/recognition/batch", body, scope, subject=f"{scope} of many")
        alone = [
            (await desk.post("/v1/recognition", one | {"purpose": "counter"}, scope, subject=scope)).json()
            for one in questions
        ]
        assert together.json()["answers"] == alone
        assert len({one.get("decision") for one in alone}) == 4
        asked = [{"issuer": one["issuer"], "handle": one["handle"]} for one in questions]
        body = {"purpose": "counter", "documents": asked}
        together = await desk.post("/v1/status/batch", body, scope, subject=f"{scope} of many statuses")
        alone = [
            (await desk.post("/v1/status", one | {"purpose": "counter"}, scope, subject=f"{scope} 2")).json()
            for one in asked
        ]
        assert together.json()["answers"] == alone


async def statements_run(desk, work):
    """Return how many statements the pool's connections were asked to run meanwhile."""
    seen = []
    pool = desk.federation.pool
    taken = [await pool.acquire() for _ in range(pool.get_size())]
    for connection in taken:
        connection.add_query_logger(seen.append)
        await pool.release(connection)
    await work()
    return len([one for one in seen if "RESET" not in one.query and "pg_advisory" not in one.query])


async def test_a_batch_takes_as_many_statements_as_one_question(desk, shibuya, setagaya):
    handles = [(town, town.issue()[1]) for town in (shibuya, setagaya) for _ in range(20)]
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)

    async def ask(count):
        questions = [
            {"issuer": town.code, "handle": handle, "receiver": receiver, "service": "nursery"}
            for (town, handle), receiver in zip(handles[:count], [shibuya.code, setagaya.code] * 20, strict=False)
        ]
        body = {"purpose": "counter", "questions": questions}
        assert (await desk.post("/v1/recognition/batch", body, subject=str(count))).status_code == 200

    one, many = [await statements_run(desk, lambda count=count: ask(count)) for count in (1, 40)]
    assert one == many
    assert 0 < many <= 10


@pytest.mark.parametrize("path", BATCHES)
async def test_the_examples_of_the_interface_description_are_answered_as_described(desk, path):
    description = (await desk.client.get("/schema/openapi.json")).json()
    operation = description["paths"][path]["post"]
    (body,) = operation["requestBody"]["content"]["application/json"]["schema"]["examples"]
    shared = {key: value for key, value in body.items() if isinstance(value, str)}
    assert set(shared) <= {each["name"] for each in operation["parameters"]}
    text = operation["requestBody"]["content"][NDJSON]["examples"]["given"]["value"]
    by_json = await desk.post(path, body)
    by_lines = await lines(desk, f"{path}?{httpx.QueryParams(shared)}", text, accept=NDJSON)
    answers = by_json.json()["answers"]
    assert answers == [msgspec.json.decode(line) for line in by_lines.content.splitlines()]
    assert kinds(answers) == ["unknown", "jurisdiction-not-found"]
    described = operation["responses"]["200"]["content"]
    assert set(described) == {"application/json", NDJSON}
    (example,) = described["application/json"]["examples"].values()
    assert len(example["value"]["answers"]) == len(answers)
