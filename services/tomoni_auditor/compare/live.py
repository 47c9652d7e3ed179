"""The read model of a live federation, as its routes for auditors give it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx
import msgspec

from tomoni.addresses import is_this_machine
from tomoni.history.rows import Line
from tomoni_auditor.verify.sources import SourceError, require_private

T = TypeVar("T")

_SECONDS: Final = 60.0
_PAGE: Final = 1_000


class TableDigest(msgspec.Struct, frozen=True):
    """A table of one issuer: how many rows it has, and the digest of each part that has any."""

    rows: int
    parts: dict[str, str]


class ReadModel(msgspec.Struct, frozen=True):
    """What the federation has of one issuer's log."""

    code: str
    state: str
    position: int
    halted: bool
    unknown: bool
    missing_unknown: bool
    tables: dict[str, TableDigest]


class _Rows(msgspec.Struct, frozen=True):
    position: int
    rows: list[Line]
    after: str | None = None


class MovedError(Exception):
    """The federation's read model went on while it was read: begin anew."""


@contextmanager
def open_live(url: str, token: str) -> Generator["Live"]:
    """Open the federation at a URL, with a token of the auditor's scope; raise SourceError where it is none."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        require_private(url)
        near = is_this_machine(httpx.URL(url).host)  # a proxy of the environment is no part of this machine
        client = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=not near)
    except httpx.InvalidURL as error:
        raise SourceError(f"the address of the federation cannot be one: {error}") from error
    with client:
        yield Live(client)


class Live:
    """A federation that is asked as an auditor. Every method raises SourceError where it gives no answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def read_model(self, code: str) -> ReadModel | None:
        """Return what the federation has of an issuer, by digests; None where it has nothing of it."""
        data = self._get(f"/v1/read-model/{code}", {})
        return None if data is None else _read(data, ReadModel)

    def rows(self, model: ReadModel, table: str, part: str) -> Iterator[Line]:
        """Yield the rows of a part of a table; raise MovedError where they are of another position than the digests."""
        after: str | None = ""
        while after is not None:
            query = {"after": after, "limit": str(_PAGE)}
            data = self._get(f"/v1/read-model/{model.code}/{table}/{part}", query)
            page = None if data is None else _read(data, _Rows)
            if page is None or page.position != model.position:
                raise MovedError
            yield from page.rows
            after = page.after

    def _get(self, path: str, query: dict[str, str]) -> bytes | None:
        try:
            answer = self._client.get(path, params=query)
        except httpx.HTTPError as error:
            raise SourceError(f"the federation gives no answer: {type(error).__name__}") from error
        if answer.status_code == 404:
            return None
        if answer.status_code in {401, 403}:
            raise SourceError(
                f"the federation answers {answer.status_code}; a token with the auditor's scope is needed"
            )
        if answer.status_code != 200:
            raise SourceError(f"the federation answers {answer.status_code}; try again later")
        return answer.content


def _read(data: bytes, cls: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=cls)
    except msgspec.MsgspecError as error:
        raise SourceError(
            "the federation's answer is not what this version reads; is it of another version?"
        ) from error
