"""What no route tells the public, a verifier or an aggregator: how large a log is, where in it, exactly how many.

The routes and the problems they may answer are those of the interface description, so that a new one is not forgotten
and has to be asked here. What must not be told are numbers that nobody meets by chance, in a federation that has them.
"""

import base64
import re
import uuid
from typing import NamedTuple

import msgspec
import pytest

from tests.federation.plenty import ANYTHING, JOSE, LINES, STREAM, Ask, Scene
from tests.federation.watching import Watcher, events, served

CALLERS = {"verifier": {}, "aggregator": {"prefecture": "13"}}

NUMBERS = {
    "after": "a number of one's own watch",
    "at_least": "a count as it was published, in whole steps of the threshold",
    "forgotten": "a number of one's own watch",
    "id": "a number of one's own watch",
    "precedence": "what a town has declared",
    "status": "that of HTTP",
    "threshold": "of the counts",
}
"""The numbers that an answer may have, and what they are; a new one has to be thought about."""
IN_STATEMENTS = {"iat", "exp"}
OF_LOGS = {"size", "position", "positions", "count", "counts", "number", "total", "sequence", "length", "entries"}
"""Words of which no name of a field in an answer is made."""
AUDITORS_ONLY = {("RecognitionAnswer", "entries"), ("ConsideredAnswer", "entries"), ("EntryAnswer", "position")}
"""What stands in the description of these routes, since auditors ask them too."""


class Told(NamedTuple):
    """An answer: what kind it is, and everything that can be read in it."""

    status: int
    kind: str
    text: str
    values: list[object]


def read(answer, body):
    """Return an answer with what is encoded in it decoded."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    text = "\n".join(
        [*(f"{name}: {value}" for name, value in answer.headers.items() if name != "content-length"), body]
    )
    values = []
    if kind == LINES:
        values = [msgspec.json.decode(line) for line in body.splitlines()]
    elif kind.endswith("json") and body:
        values = [msgspec.json.decode(body)]
    elif kind == JOSE:
        parts = [base64.urlsafe_b64decode(part + "==") for part in body.split(".")[:2]]
        values = [msgspec.json.decode(part) for part in parts]
        text += b"\n".join(parts).decode()
    return Told(answer.status_code, kind, text, values)


def fields(value, name=""):
    """Yield every name and what stands under it, all the way down."""
    yield name, value
    if isinstance(value, dict):
        for key, below in value.items():
            yield from fields(below, key)
    elif isinstance(value, list):
        for below in value:
            yield from fields(below, name)


def numbers_in(text):
    """Return the numbers that stand by themselves in a text; identifiers and hashes hold digits by chance."""
    plain = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", text)
    return {int(digits) for digits in re.findall(r"(?<![0-9A-Za-z])\d{1,15}(?![0-9A-Za-z])", plain)}


def require_nothing_of_logs(told, secret, where):
    assert not numbers_in(told.text) & secret, (where, told.text)
    if told.kind == "application/vnd.oai.openapi+json":
        return
    for name, value in (field for each in told.values for field in fields(each)):
        assert not set(name.split("_")) & OF_LOGS, (where, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert name in NUMBERS or (told.kind == JOSE and name in IN_STATEMENTS), (where, name, value)
            assert name not in {"id", "after", "forgotten"} or value < 50, (where, name, value)


async def described(desk):
    return (await desk.client.get("/schema/openapi.json")).json()


def may_ask(operation):
    return "security" not in operation or not set(operation["security"][0]["bearer"]).isdisjoint(CALLERS)


def routes_of(description):
    return {
        (method, path): operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


def kinds_of(operation):
    """Return the problems that a route is described to answer."""
    shown = [
        each["value"]["type"]
        for answer in operation["responses"].values()
        for form, content in answer.get("content", {}).items()
        if form == "application/problem+json"
        for each in content["examples"].values()
    ]
    return {one.rpartition("/")[2] for one in shown}


def properties(description, schema, seen, name=""):
    """Yield (schema, property, whether it is a number) of everything that a schema holds."""
    if isinstance(schema, list):
        for each in schema:
            yield from properties(description, each, seen, name)
    elif isinstance(schema, dict):
        if (target := schema.get("$ref")) is not None:
            name = target.rpartition("/")[2]
            if name not in seen:
                seen.add(name)
                yield from properties(description, description["components"]["schemas"][name], seen, name)
        for property_, below in schema.get("properties", {}).items():
            yield name, property_, bool(re.search("'type': '(integer|number)'", str(below)))
        for key, below in schema.items():
            if key != "examples":
                yield from properties(description, below, seen, name)


async def test_no_answer_is_described_to_hold_a_size_a_position_or_a_number_that_was_not_thought_about(desk):
    description = await described(desk)
    seen = set()
    found = {
        found
        for (_, path), operation in routes_of(description).items()
        if may_ask(operation) and path != "/schema/{path}"  # the framework's own, whose errors are ours all the same
        for answer in operation["responses"].values()
        for found in properties(description, answer.get("content", {}), seen)
    }
    assert {"StatusAnswer", "ProblemDetails", "ChangeAnswer", "Row", "Completeness"} <= seen
    of_logs = {(schema, name) for schema, name, _ in found if set(name.split("_")) & OF_LOGS}
    assert of_logs == AUDITORS_ONLY
    numbers = {name for schema, name, is_number in found if is_number and (schema, name) not in AUDITORS_ONLY}
    assert numbers == {*NUMBERS, "fields"}


class Asker:
    """Asks as one caller, and keeps what was answered."""

    def __init__(self, scene, http, scope):
        self.scene, self.http, self.scope = scene, http, scope
        self.told = []

    async def watch(self, name):
        return (await Watcher(self.scene.desk, self.scope, "watcher", **CALLERS[self.scope]).open(name)).id

    async def ask(self, method, path, asked, token=None):
        subject = "watcher" if "watches" in path else f"{path} {len(self.told)}"
        token = token or self.scene.desk.token(self.scope, subject=subject, **CALLERS[self.scope])
        headers = {"Authorization": f"Bearer {token}", "Accept": asked.accept, "Content-Type": asked.sent}
        names = {"watch": asked.watch or str(uuid.UUID(int=1)), "path": "0/000", "code": "131130", "name": "kanto"}
        names |= {"table": "document", "part": "00", "evidence": "0" * 64}
        address = re.sub(r"{(\w+)}", lambda name: names[name[1]], path) + asked.query
        async with self.http.stream(method, address, headers=headers, content=asked.content) as answer:
            streamed = answer.headers.get("content-type") == STREAM
            body = await self.follow(answer) if streamed else (await answer.aread()).decode()
        told = read(answer, body if not streamed else "")
        if streamed:
            told = told._replace(text=told.text + str(body), values=[{"id": body[-1][0]}, *(data for *_, data in body)])
        self.told.append(((method, path), told))

    async def follow(self, answer):
        """Return the events of a stream up to the last one that is there."""
        taken = []
        async for event in events(answer):
            taken.append(event)
            if event[1] == "removed":
                return taken
        raise AssertionError("the stream has ended")


@pytest.fixture
async def scene(desk):
    return await Scene(desk).build()


@pytest.mark.parametrize("scope", CALLERS)
async def test_no_answer_to_anybody_but_auditors_tells_of_a_size_a_position_or_an_exact_count(desk, scene, scope):
    routes = routes_of(await described(desk))
    async with served(desk) as (http, _):
        asker = Asker(scene, http, scope)
        questions = scene.questions(await asker.watch("housing"))
        del routes["get", "/metrics"]  # in which the process itself counts whatever it likes: see below
        assert set(questions) == {route for route, operation in routes.items() if may_ask(operation)}
        for route in [*questions, *(set(routes) - set(questions))]:
            for asked in [*questions.get(route, []), *ANYTHING]:
                if route[0] != "get" or len(asked.content or b"") < 1_000:  # nobody reads it, and the answer may be cut
                    await asker.ask(*route, asked)
            await asker.ask(*route, Ask(), token="none")
            await asker.ask("patch", route[1], Ask())
        desk.watching.feed.close()
        await asker.ask("get", "/v1/watches/{watch}/changes", Ask(accept=STREAM, watch=await asker.watch("watch-1")))
    for where, told in asker.told:
        require_nothing_of_logs(told, scene.secret, where)
    require_everything_was_asked(routes, asker.told, scope)


def require_everything_was_asked(routes, told, scope):
    """Require each form of each answer, and each kind of problem that is described."""
    forms, kinds = set(), set()
    for route, one in told:
        if 200 <= one.status < 300:
            forms.add((route, one.kind))
        else:
            kinds |= {
                str(value["type"]).rpartition("/")[2]
                for value in one.values
                if isinstance(value, dict) and "type" in value
            }
    wanted, described_kinds = {("get", "/v1/watches/{watch}/changes", STREAM)}, set()
    for route, operation in routes.items():
        allowed = operation.get("security", [{"bearer": [scope]}])[0]["bearer"]
        if scope in allowed and route[1] not in {"/schema", "/schema/{path}"}:
            described_kinds |= kinds_of(operation)
            wanted |= {
                (*route, form)
                for status, answer in operation["responses"].items()
                if status.startswith("2")
                for form in answer.get("content", {"": None})
            }
    assert not wanted - {(*route, form) for route, form in forms}
    assert not described_kinds - kinds


async def test_the_numbers_that_nobody_is_told_are_told_to_auditors_so_that_the_search_finds_them(desk, scene):
    town, handle = scene.asked[2]
    answer = await desk.recognition(town, handle, scene.setagaya, "auditor")
    told = Told(200, "application/json", str(answer), [answer])
    with pytest.raises(AssertionError):
        require_nothing_of_logs(told, scene.secret, "recognition")
    assert numbers_in(str(answer)) & scene.secret


async def test_no_metric_counts_what_logs_hold_or_names_a_town_or_a_document(desk, scene):
    assert scene.counted
    assert not {name: value for name, value in scene.counted.items() if value in scene.secret}
    lines = (await desk.client.get("/metrics")).text.splitlines()
    # Relays of other tests have connected from this process, each under the name of its own town.
    text = "\n".join(line for line in lines if not line.startswith("tomoni_transport_"))
    assert not [code for code in ("131130", "131121", "271004") if code in text]
    assert not [handle for _, handle in scene.asked if handle in text]
