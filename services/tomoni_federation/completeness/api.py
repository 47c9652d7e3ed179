"""`GET /v1/completeness`: of each jurisdiction whether what is known of it is complete, and if not since when."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter

from tomoni.auth import requires
from tomoni.documentation import answered, problems
from tomoni.history.status import IssuerView
from tomoni.jurisdictions import Jurisdiction, all_jurisdictions, by_code
from tomoni_federation.interface import Answering, AnyRequest
from tomoni_federation.prefectures import AskedPrefecture, prefecture_within_reach
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.api import respond
from tomoni_federation.status.standing import Standing, standing

PAGE: Final = 1_000


class Completeness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A jurisdiction, and as of when what is known of it is complete."""

    code: str
    name: str
    romaji: str
    state: Standing
    fresh_as_of: datetime | None = None


class CompletenessAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of jurisdictions by code; `after` asks for the next one."""

    jurisdictions: tuple[Completeness, ...]
    after: str | None = None


ISSUERS: Final = """
SELECT l.log, l.state, c.fresh_as_of, c.halted IS NOT NULL AS halted, coalesce(c.unknown, false) AS unknown
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
        rows = await answering.pool.fetch(ISSUERS, PROJECTION, VERSION, within, after)
        issuers = {code: IssuerView(**dict(zip(_VIEW, view, strict=True))) for code, *view in rows}
        places = {one.code: one for one in all_jurisdictions() if within in (None, one.prefecture)}
        places |= {code: by_code(code) for code in issuers}  # one that is no more may have been admitted before
        asked = sorted(code for code in places if code > after)
        now = answering.clock()
        page = tuple(_to_body(places[code], issuers.get(code, _ABSENT), now) for code in asked[:limit])
        return respond(CompletenessAnswer(jurisdictions=page, after=page[-1].code if len(asked) > limit else None))

    return Router(path="/v1", route_handlers=[completeness], tags=["aggregator"])


_VIEW: Final = ("state", "fresh_as_of", "halted", "unknown")
_ABSENT: Final = IssuerView(state=None)


def _to_body(place: Jurisdiction, issuer: IssuerView, now: datetime) -> Completeness:
    return Completeness(
        code=place.code,
        name=place.name,
        romaji=place.romaji,
        state=standing(issuer, now),
        fresh_as_of=issuer.fresh_as_of,
    )
