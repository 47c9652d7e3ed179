"""`GET /v1/completeness`: of each jurisdiction whether what is known of it is complete, and if not since when."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter

from tomoni.auth import requires
from tomoni.documentation import answered, problems
from tomoni.jurisdictions import Jurisdiction, all_jurisdictions, by_code
from tomoni_federation.interface import Answering, AnyRequest
from tomoni_federation.prefectures import AskedPrefecture, prefecture_within_reach
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.api import respond

PAGE: Final = 1_000

SILENT_AFTER: Final = timedelta(hours=24)
"""Heartbeats come every minute; after a day counters are told `unknown`."""

State = Literal["live", "silent", "never-heard", "suspended", "quarantined", "halted", "not-taking-part"]


class Completeness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A jurisdiction, and as of when what is known of it is complete."""

    code: str
    name: str
    romaji: str
    state: State
    fresh_as_of: datetime | None = None


class CompletenessAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of jurisdictions by code; `after` asks for the next one."""

    jurisdictions: tuple[Completeness, ...]
    after: str | None = None


ISSUERS: Final = """
SELECT l.log, l.state, c.fresh_as_of, coalesce(c.halted IS NOT NULL OR c.unknown, false) AS halted
FROM mirror.log l
LEFT JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = l.log
WHERE ($3::text IS NULL OR left(l.log, 2) = $3) AND l.log > $4
"""

_EXAMPLE: Final = CompletenessAnswer(
    jurisdictions=(
        Completeness(
            code="131121",
            name="世田谷区",
            romaji="Setagaya",
            state="silent",
            fresh_as_of=datetime(2026, 11, 21, 3, 0, tzinfo=UTC),
        ),
        Completeness(
            code="131130",
            name="渋谷区",
            romaji="Shibuya",
            state="live",
            fresh_as_of=datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
        ),
        Completeness(code="131148", name="中野区", romaji="Nakano", state="not-taking-part"),
    )
)


def completeness_routes(answering: Answering) -> Router:
    """Return the route of completeness."""

    @get(
        "/completeness",
        opt=requires("aggregator", "auditor", "secretariat"),
        responses=answered(200, CompletenessAnswer, _EXAMPLE) | problems("prefecture-not-found"),
    )
    async def completeness(
        request: AnyRequest,
        prefecture: AskedPrefecture = None,
        after: Annotated[str, QueryParameter(pattern="^([0-9]{6})?$", description="where the page before ended")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE)] = PAGE,
    ) -> Response[bytes]:
        """Say of each jurisdiction whether it takes part, is heard of, or has stopped."""
        within = prefecture_within_reach(request.user, prefecture)
        rows = {row["log"]: row for row in await answering.pool.fetch(ISSUERS, PROJECTION, VERSION, within, after)}
        now = answering.clock()
        places = {one.code: one for one in all_jurisdictions() if within in (None, one.prefecture)}
        places |= {code: by_code(code) for code in rows}  # one that is no more may have been admitted before
        asked = sorted(code for code in places if code > after)
        page = tuple(
            _absent(places[code])
            if (row := rows.get(code)) is None
            else _present(places[code], row["state"], row["fresh_as_of"], halted=row["halted"], now=now)
            for code in asked[:limit]
        )
        return respond(CompletenessAnswer(jurisdictions=page, after=page[-1].code if len(asked) > limit else None))

    return Router(path="/v1", route_handlers=[completeness], tags=["aggregator"])


def _absent(place: Jurisdiction) -> Completeness:
    return Completeness(code=place.code, name=place.name, romaji=place.romaji, state="not-taking-part")


def _present(
    place: Jurisdiction, admission: str, fresh: datetime | None, *, halted: bool, now: datetime
) -> Completeness:
    return Completeness(
        code=place.code,
        name=place.name,
        romaji=place.romaji,
        state=_state(admission, fresh, halted=halted, now=now),
        fresh_as_of=fresh,
    )


def _state(admission: str, fresh: datetime | None, *, halted: bool, now: datetime) -> State:
    if admission == "quarantined":
        return "quarantined"
    if halted:
        return "halted"
    if admission == "suspended":
        return "suspended"
    if fresh is None:
        return "never-heard"
    return "live" if now - fresh <= SILENT_AFTER else "silent"
