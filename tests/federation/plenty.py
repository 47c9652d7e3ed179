"""A federation with much in its logs, and a question of every kind to every route that asks about it."""

from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from tests.federation.towns import NOW, Town
from tests.federation.watching import MANY, Watcher
from tomoni.documents import document_hash, new_handle
from tomoni_federation.statistics.publish import Publisher

JOSE, LINES, STREAM = "application/jose", "application/x-ndjson", "text/event-stream"
POSITIONS = """
SELECT first_position, last_position FROM projection.document
JOIN projection.certificate USING (log, certificate) WHERE projection.document.document = ANY($1)
"""


class Ask(NamedTuple):
    """A question to a route: what makes it up beside the method and the token."""

    query: str = ""
    body: object = None
    accept: str = "application/json"
    sent: str = "application/json"
    watch: str = ""
    """Which watch the address names."""

    @property
    def content(self):
        return self.body if isinstance(self.body, bytes | None) else msgspec.json.encode(self.body)


ANYTHING = [
    Ask(),
    Ask(body=b"{"),
    Ask(body={"size": 1}),
    Ask(body=b"size=1", sent="text/plain"),
    Ask(body=b" " * 300_000),
    Ask("?limit=none&after=none&on=none&prefecture=none&receiver=none"),
    Ask("?after=99&prefecture=99&receiver=131131"),
    Ask(accept="text/html"),
]
"""What any route is asked; most of it is nonsense to most of them."""


class Scene:
    """Three towns with much in their logs, what of it is asked about, and all that nobody is to be told."""

    def __init__(self, desk):
        self.desk = desk
        self.shibuya, self.setagaya, self.osaka = Town("131130"), Town("131121"), Town("271004")
        self.secret = set()

    async def build(self):
        towns = [self.shibuya, self.setagaya, self.osaka]
        await self.desk.federation.admit(*towns)
        autumn = date(2025, 10, 5)
        issued = [self.shibuya.issue(certified_on=autumn) for _ in range(811)]
        moving = [self.shibuya.issue(certified_on=autumn, conditional_until=date(2027, 1, 31)) for _ in range(317)]
        for certificate, _ in issued[:211]:
            self.shibuya.revoke(certificate, effective_on=date(2025, 12, 31))
        joined = [self.setagaya.issue(certified_on=autumn, kind="familyship") for _ in range(1_013)]
        self.setagaya.declare(self.shibuya.code, conditions=("identity-document",))
        away = [self.osaka.issue(certified_on=autumn) for _ in range(331)]
        self.asked = [
            *((self.shibuya, handle) for _, handle in (issued[198], issued[-1], moving[-1])),
            *((town, handle) for town, (_, handle) in ((self.setagaya, joined[-1]), (self.osaka, away[-1]))),
        ]
        before = await self.metrics()
        await self.desk.hear(*towns)
        for at in (datetime(2025, 11, 10, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)):
            await Publisher(self.desk.federation.pool, 10, clock=lambda at=at: at).publish()
        await self.count()
        self.counted = {name: value - before.get(name, 0) for name, value in (await self.metrics()).items()}
        other = await Watcher(self.desk, subject="another").open()
        await other.add((self.shibuya, issued[0][1], "a"))
        await self.desk.federation.pool.execute(MANY, other.id, 1_607)
        self.secret.add(1_608)
        return self

    async def count(self):
        """Count everything there is to count, and note where what is asked about stands."""
        pool = self.desk.federation.pool
        sizes = [row[0] for row in await pool.fetch("SELECT proven_size FROM mirror.log")]
        found = {*sizes, *(size - 1 for size in sizes), sum(sizes)}
        found |= {sum(sizes) - size for size in sizes}
        for columns in ("log", "log, kind", "log, effect", "left(log, 2)", "log, conditional_until"):
            rows = await pool.fetch(f"SELECT count(*) FROM projection.certificate GROUP BY {columns}")
            found |= {row[0] for row in rows}
        asked = [bytes.fromhex(document_hash(town.code, handle)) for town, handle in self.asked]
        rows = await pool.fetch(POSITIONS, asked)
        found |= {position for row in rows for position in row}
        found |= {row[0] for row in await pool.fetch("SELECT count(*) FROM projection.certificate")}
        self.secret = {number for number in found if number > 210 and number % 10} - {NOW.year - 1, NOW.year}
        assert {1_339, 1_326, 1_128, 1_127, 1_013, 1_012, 331, 317, 211} <= self.secret
        assert not self.secret & {status.value for status in HTTPStatus}

    async def metrics(self):
        """Return what is counted by us; the process itself counts whatever it likes."""
        lines = (await self.desk.client.get("/metrics")).text.splitlines()
        ours = (line.rpartition(" ") for line in lines if line.startswith("tomoni_"))
        return {name: float(value) for name, _, value in ours if "_created" not in name}

    def questions(self, watch):
        """Return what each route is asked that may be asked by one of the callers."""
        named = [{"issuer": town.code, "handle": handle} for town, handle in self.asked]
        one = named[2] | {"purpose": "counter"}
        where = {"receiver": "131121", "service": "public-housing"}
        bad = [{"handle": "none"}, {"issuer": "131131"}, {"purpose": "none"}, {"issuer": "271004"}]
        lines = b"\n".join(msgspec.json.encode(each) for each in named)
        far = [{"on": "2099-01-01"}, {"as_known_at": "2099-01-01T00:00:00Z"}]
        many = [{"issuer": "131130", "handle": new_handle(), "reference": f"x{number}"} for number in range(61)]
        watched = [each | {"reference": f"case-{number}"} for number, each in enumerate(named)]
        return {
            ("post", "/v1/status"): [
                *(Ask(body=each | {"purpose": "counter"}, accept=form) for each in named for form in (JOSE, "")),
                *(Ask(body=one | fault, accept=JOSE) for fault in bad),
            ],
            ("post", "/v1/status/batch"): [
                Ask(body={"purpose": "counter", "documents": named}),
                Ask("?purpose=counter", lines, LINES, LINES),
                Ask("?purpose=none", lines, LINES, LINES),
                Ask(body={"purpose": "counter", "documents": [{**each, "handle": "none"} for each in named]}),
                Ask(body={"purpose": "counter", "documents": [named[0]] * 61}),
            ],
            ("post", "/v1/recognition"): [
                *(
                    Ask(body=each | where | {"purpose": "counter"}, accept=form)
                    for each in named
                    for form in (JOSE, "")
                ),
                *(Ask(body=one | where | more) for more in ({"as_known_at": "2026-11-23T03:00:00Z"}, *far, *bad)),
            ],
            ("post", "/v1/recognition/batch"): [
                Ask(body={"purpose": "counter", "questions": [each | where for each in named]}),
                Ask("?purpose=counter&receiver=131121&service=public-housing", lines, LINES, LINES),
                Ask(body={"purpose": "none", "questions": named}),
                Ask(body={"purpose": "counter", **where, "questions": named * 13}),
            ],
            ("get", "/v1/arrangements"): [Ask("?receiver=131121"), Ask("?receiver=131121&limit=1")],
            ("get", "/v1/jurisdictions"): [Ask(), Ask("?limit=2"), Ask("?after=131121")],
            ("get", "/v1/vocabulary"): [Ask()],
            ("get", "/v1/completeness"): [Ask(), Ask("?limit=3"), Ask("?prefecture=27"), Ask("?prefecture=13")],
            ("get", "/v1/statistics"): [Ask(), Ask(accept="text/csv"), Ask("?format=csv"), Ask("?on=2025-10-31")],
            ("get", "/v1/watches"): [Ask()],
            ("post", "/v1/watches"): [Ask(body={"name": f"watch-{number}"}) for number in range(20)],
            ("post", "/v1/watches/{watch}/documents"): [
                Ask(body={"documents": watched}, watch=watch),
                Ask(body={"documents": [watched[0] | {"reference": "again"}]}, watch=watch),
                Ask(body={"documents": watched}),
                Ask(body={"documents": many}, watch=watch),
            ],
            ("post", "/v1/watches/{watch}/documents/remove"): [
                Ask(body={"references": ["case-0", "none"]}, watch=watch),
                Ask(body={"references": ["case-0"]}),
            ],
            ("get", "/v1/watches/{watch}/changes"): [
                Ask(watch=watch),
                Ask("?after=2&limit=1", watch=watch),
                Ask("?after=999", watch=watch),
                Ask(accept=STREAM, watch=watch),
                Ask("?after=999", accept=STREAM, watch=watch),
                Ask(),
            ],
            ("delete", "/v1/watches/{watch}"): [Ask(watch=watch), Ask()],
            ("get", "/health/live"): [Ask()],
            ("get", "/health/ready"): [Ask()],
            ("get", "/schema"): [Ask()],
            ("get", "/schema/{path}"): [Ask()],
            ("get", "/schema/openapi.json"): [Ask()],
            ("get", "/v1/statements/keys"): [Ask()],
        }
