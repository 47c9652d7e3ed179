# pyright: reportUnknownMemberType=false
# The framework's types of handlers are open.
"""`GET /v1/jurisdictions/{code}/evidence/{evidence}`: what a jurisdiction was quarantined for, for auditors.

The hash stands in the federation's own log, so whoever has read that knows what to ask for.
"""

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Final

from litestar import Router, get
from litestar.params import FromPath, PathParameter
from litestar.response import Stream

from tomoni.auth import requires
from tomoni.database import Pool
from tomoni.eventlog.routes import note_answered
from tomoni.problems import Problem
from tomoni_federation.mirror.api import Code
from tomoni_federation.mirror.evidence_files import write_evidence

_IN_MEMORY: Final = 1_000_000
"""Bytes of a file held in memory; a longer one waits on the disk, and no connection waits for a slow reader."""

Hash = Annotated[str, PathParameter(pattern="^[0-9a-f]{64}$", description="as the federation's own log names it")]


def evidence_routes(pool: Pool) -> Router:
    """Return the route."""

    @get(
        "/{evidence:str}",
        opt=requires("auditor", "secretariat"),
        summary="Evidence against a jurisdiction's log",
        responses=note_answered(),
    )
    async def evidence(code: FromPath[Code], evidence: FromPath[Hash]) -> Stream:
        """Return a file that convinces by the log's own key: `tomoni audit verify-evidence` checks it, offline."""
        file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed when all is read, or with the answer
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            try:
                await write_evidence(connection, code, evidence, file)
            except KeyError:
                raise Problem("not-found", "No such evidence is kept: look for its hash in /log.") from None
        return Stream(_read(file), media_type="text/plain", headers={"Cache-Control": "no-store"})

    return Router(path="/v1/jurisdictions/{code:str}/evidence", route_handlers=[evidence], tags=["log"])


def _read(file: "SpooledTemporaryFile[bytes]") -> Iterator[bytes]:
    file.seek(0)
    with file:
        while data := file.read(_IN_MEMORY):
            yield data
