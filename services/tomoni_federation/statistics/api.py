"""`GET /v1/statistics`: counts of a prefecture's certificates as they were published, in JSON and in CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal

import asyncpg
import msgspec
from litestar import Response, Router, get
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Schema
from litestar.params import QueryParameter

from tomoni.auth import requires
from tomoni.documentation import answered, problems
from tomoni.problems import Problem
from tomoni.times import day_in_japan
from tomoni_federation.interface import Answering, AnyRequest
from tomoni_federation.prefectures import AskedPrefecture, prefecture_within_reach
from tomoni_federation.statistics import sql
from tomoni_federation.status.api import respond

Span = Literal["month", "year"]
Measure = Literal["certified", "conditional", "ended"]


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is shown of one count: at least so many, and fewer than a step more where no part of it is hidden."""

    area: str
    """Code of the issuer, or the prefecture's two digits for all of its issuers."""
    span: Span
    closes_on: date
    """Last day of the month or year that was counted."""
    kind: str | None = None
    """Left out: all kinds."""
    measure: Measure
    """`certified` in the span, `conditional` of those at its end, `ended` in the span whenever certified."""
    at_least: int


class Issuer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An issuer that was admitted at the last publication, and whether it could be counted."""

    code: str
    state: Literal["counted", "missing"]
    """`missing`: not heard of since the month was over, quarantined or not readable. It is no zero."""
    fresh_as_of: datetime | None
    counted_from: date | None = None
    """Last day of the first month it was counted in, which holds all its certificates from before, too."""


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All that was published of a prefecture for months that are over on a day. A row that is not here is too small."""

    prefecture: str
    threshold: int | None
    as_of: date | None
    """Last day of the last month that is counted; None: nothing was published for a day so early."""
    issuers: tuple[Issuer, ...]
    rows: tuple[Row, ...]


EXAMPLE: Final = StatisticsAnswer(
    prefecture="13",
    threshold=10,
    as_of=date(2026, 12, 31),
    issuers=(
        Issuer(code="131121", state="missing", fresh_as_of=datetime(2026, 12, 2, 3, 0, tzinfo=UTC)),
        Issuer(
            code="131130",
            state="counted",
            fresh_as_of=datetime(2027, 1, 8, 3, 0, tzinfo=UTC),
            counted_from=date(2026, 10, 31),
        ),
    ),
    rows=(
        Row(
            area="131130",
            span="month",
            closes_on=date(2026, 12, 31),
            kind="partnership",
            measure="certified",
            at_least=20,
        ),
        Row(area="13", span="year", closes_on=date(2026, 12, 31), measure="certified", at_least=130),
    ),
)

_COLUMNS: Final = ("as_of", "threshold", "area", "span", "closes_on", "kind", "measure", "at_least")


@dataclass
class CsvToo(Operation):
    """The description of the route, with the other form of its answer: the framework knows one for each status."""

    def __post_init__(self) -> None:
        """Add the form that was left out."""
        for status, response in (self.responses or {}).items():
            if status == "200" and isinstance(response, OpenAPIResponse) and response.content is not None:
                text = Schema(type=OpenAPIType.STRING, description=f"RFC 4180, with the columns {', '.join(_COLUMNS)}")
                response.content["text/csv"] = OpenAPIMediaType(schema=text)


def statistics_routes(answering: Answering) -> Router:
    """Return the route of statistics."""

    @get(
        "/statistics",
        opt=requires("aggregator", "auditor"),
        operation_class=CsvToo,
        responses=answered(200, StatisticsAnswer, EXAMPLE) | problems("prefecture-not-found"),
    )
    async def statistics(
        request: AnyRequest,
        prefecture: AskedPrefecture = None,
        on: Annotated[date | None, QueryParameter(description="months over on this day in Japan; today")] = None,
        format: Annotated[  # noqa: A002  # the parameter's name in the address
            Literal["json", "csv"] | None, QueryParameter(description="else as the Accept header says")
        ] = None,
    ) -> Response[bytes]:
        """Show what was published of a prefecture's counts; auditors name the prefecture."""
        within = prefecture_within_reach(request.user, prefecture)
        if within is None:
            raise Problem("malformed", "Name a prefecture: its two digits, in the parameter `prefecture`.")
        day = on or day_in_japan(answering.clock())
        async with (
            answering.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            threshold = await connection.fetchval(sql.THRESHOLD)
            parts = await connection.fetch(sql.PARTS, within, day)
            cells = await connection.fetch(sql.CELLS, within, day)
        answer = _to_body(within, threshold, parts, cells)
        as_csv = format == "csv" or (format is None and "text/csv" in request.headers.get("accept", ""))
        return _respond_csv(answer) if as_csv else respond(answer)

    return Router(path="/v1", route_handlers=[statistics], tags=["aggregator"])


def _to_body(
    prefecture: str, threshold: int | None, parts: Sequence[asyncpg.Record], cells: Sequence[asyncpg.Record]
) -> StatisticsAnswer:
    return StatisticsAnswer(
        prefecture=prefecture,
        threshold=threshold,
        as_of=parts[0]["month"] if parts else None,
        issuers=tuple(
            Issuer(
                code=row["log"],
                state="counted" if row["counted"] else "missing",
                fresh_as_of=row["fresh_as_of"],
                counted_from=row["counted_from"],
            )
            for row in parts
        ),
        rows=tuple(
            Row(
                area=row["area"],
                span=row["span"],
                closes_on=row["closes_on"],
                kind=row["kind"] or None,
                measure=row["measure"],
                at_least=row["at_least"],
            )
            for row in cells
        ),
    )


def _respond_csv(answer: StatisticsAnswer) -> Response[bytes]:
    """Return the rows as CSV (RFC 4180); an issuer that is missing is a row without a number."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    of = (answer.as_of, answer.threshold)
    for row in answer.rows:
        writer.writerow((*of, row.area, row.span, row.closes_on, row.kind, row.measure, row.at_least))
    for issuer in answer.issuers:
        if issuer.state == "missing":
            writer.writerow((*of, issuer.code, "month", answer.as_of, None, "missing", None))
    headers = {"Cache-Control": "no-store"}
    return Response(text.getvalue().encode(), media_type="text/csv; charset=utf-8; header=present", headers=headers)
