"""The client: one method a question. Whatever can be asked again is, with growing pauses, until it is answered."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import date
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
import msgspec
import stamina

from tomoni.addresses import is_private_url, is_this_machine
from tomoni.client.answers import (
    Change,
    Completeness,
    ItemProblem,
    Recognition,
    Statistics,
    Status,
    Watch,
    WatchItem,
)
from tomoni.client.errors import UnreachableError
from tomoni.client.feed import follow
from tomoni.client.problems import problem_of
from tomoni.client.questions import Document, RecognitionQuestion
from tomoni.client.retrying import (
    ATTEMPTS,
    TIMEOUT_SECONDS,
    TURNS,
    BusyError,
    raise_if_busy,
    should_retry,
    should_wait,
)

T = TypeVar("T")

MOST: Final = 1_000
"""Items of one request; more are sent in several."""
_NOT_FOUND: Final = 404


class _Answers(msgspec.Struct, frozen=True, kw_only=True):
    answers: tuple[msgspec.Raw, ...]


class _Items(msgspec.Struct, frozen=True, kw_only=True):
    documents: tuple[WatchItem, ...]


class _Watches(msgspec.Struct, frozen=True, kw_only=True):
    watches: tuple[Watch, ...]


class _CompletenessPage(msgspec.Struct, frozen=True, kw_only=True):
    jurisdictions: tuple[Completeness, ...]
    after: str | None = None


class Client:
    """A federation as its token's holder sees it; an asynchronous context manager.

    Every method raises ProblemError where the federation refuses, and UnreachableError where it does not answer.
    """

    def __init__(self, url: str, token: str | Callable[[], str], *, timeout: float = 10.0) -> None:
        """Speak to the federation at a URL; `token` may be a function, asked before each request (tokens expire).

        Raises ValueError where others could read along: a token and handles travel there.
        """
        _require_private(url)
        near = is_this_machine(httpx.URL(url).host)  # a proxy of the environment is no part of this machine
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, follow_redirects=False, trust_env=not near)
        self._token = token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def status(self, issuer: str, handle: str, *, purpose: str) -> Status:
        """Return the status of one document."""
        body = {"issuer": issuer, "handle": handle, "purpose": purpose}
        return _read(await self._ask("POST", "/v1/status", body), Status)

    async def statuses(self, documents: Sequence[Document], *, purpose: str) -> list[Status | ItemProblem]:
        """Return the statuses of any number of documents in their order; a problem concerns its own item alone."""
        items = [{"issuer": one.issuer, "handle": one.handle} for one in documents]
        return await self._many("/v1/status/batch", "documents", items, purpose, Status)

    async def recognise(self, question: RecognitionQuestion, *, purpose: str) -> Recognition:
        """Return whether a document counts at a receiver for a service, and why."""
        body = msgspec.to_builtins(question) | {"purpose": purpose}
        return _read(await self._ask("POST", "/v1/recognition", body), Recognition)

    async def recognise_many(
        self, questions: Sequence[RecognitionQuestion], *, purpose: str
    ) -> list[Recognition | ItemProblem]:
        """Return the same for any number of questions in their order."""
        items = [msgspec.to_builtins(one) for one in questions]
        return await self._many("/v1/recognition/batch", "questions", items, purpose, Recognition)

    async def watches(self) -> list[Watch]:
        """Return the watches of the token's holder."""
        return list(_read(await self._ask("GET", "/v1/watches"), _Watches).watches)

    async def create_watch(self, name: str) -> Watch:
        """Make a watch, or return the one that has the name already."""
        return _read(await self._ask("POST", "/v1/watches", {"name": name}), Watch)

    async def delete_watch(self, watch: str) -> None:
        """Delete a watch with all it holds."""
        await self._ask("DELETE", f"/v1/watches/{watch}")

    async def watch_documents(self, watch: str, documents: Sequence[Document]) -> list[WatchItem]:
        """Watch documents, each by its `reference`; return what became of each, in their order."""
        results: list[WatchItem] = []
        for start in range(0, len(documents), MOST):
            body = {"documents": [msgspec.to_builtins(one) for one in documents[start : start + MOST]]}
            answered = await self._ask("POST", f"/v1/watches/{watch}/documents", body)
            results += _read(answered, _Items).documents
        return results

    async def unwatch_documents(self, watch: str, references: Sequence[str]) -> None:
        """Watch documents no more."""
        for start in range(0, len(references), MOST):
            body = {"references": list(references[start : start + MOST])}
            await self._ask("POST", f"/v1/watches/{watch}/documents/remove", body)

    async def changes(self, watch: str, *, after: int = 0) -> AsyncGenerator[Change]:
        """Yield the changes of a watch after a number, each once and in order, and those to come, for ever.

        Keep the last `id` you have dealt with and give it as `after` when you start again. Broken connections are made
        again by themselves. Raises FeedResetError where the feed no longer reaches back so far.
        """
        async with aclosing(follow(self._http, self._headers, f"/v1/watches/{watch}/changes", after)) as feed:
            async for change in feed:
                yield change

    async def completeness(self, prefecture: str | None = None) -> list[Completeness]:
        """Return of each jurisdiction whether what is known of it is complete."""
        found: list[Completeness] = []
        after: str | None = ""
        while after is not None:
            query = {"after": after} if prefecture is None else {"after": after, "prefecture": prefecture}
            page = _read(await self._ask("GET", "/v1/completeness", query=query), _CompletenessPage)
            found += page.jurisdictions
            after = page.after
        return found

    async def statistics(self, prefecture: str | None = None, *, on: date | None = None) -> Statistics:
        """Return what was published of a prefecture's counts for months over on a day."""
        query = {} if prefecture is None else {"prefecture": prefecture}
        if on is not None:
            query["on"] = on.isoformat()
        return _read(await self._ask("GET", "/v1/statistics", query=query), Statistics)

    def _headers(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        return {"Authorization": f"Bearer {token}"}

    async def _many(
        self, path: str, name: str, items: Sequence[object], purpose: str, cls: type[T]
    ) -> list[T | ItemProblem]:
        answers: list[T | ItemProblem] = []
        for start in range(0, len(items), MOST):
            body = {"purpose": purpose, name: list(items[start : start + MOST])}
            found = _read(await self._ask("POST", path, body), _Answers).answers
            if len(found) != len(body[name]):  # whose answer each is, is known by its place alone
                raise _not_an_answer()
            answers += [_read(bytes(one), ItemProblem if _is_problem(one) else cls) for one in found]
        return answers

    async def _ask(
        self, method: str, path: str, body: object | None = None, *, query: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the body of a successful answer."""
        content = None if body is None else msgspec.json.encode(body)
        try:
            async for turn in stamina.retry_context(should_wait, attempts=TURNS, timeout=None):
                with turn:
                    response, attempts = await self._send(method, path, content, query)
                    if method == "DELETE" and attempts > 1 and response.status_code == _NOT_FOUND:
                        return b""  # an attempt before did it, and its answer was lost
                    return _content(response)
        except BusyError as busy:
            if busy.is_limit:
                raise problem_of(busy.response) from None
            raise UnreachableError("the federation cannot answer right now") from None
        except httpx.TransportError as error:
            raise UnreachableError(f"the federation cannot be reached: {type(error).__name__}") from None
        raise AssertionError("a turn returns or raises")

    async def _send(
        self, method: str, path: str, content: bytes | None, query: Mapping[str, str] | None
    ) -> tuple[httpx.Response, int]:
        """Return the first answer that tells of no trouble, and which it is; raise what the last attempt raised."""
        async for attempt in stamina.retry_context(should_retry, attempts=ATTEMPTS, timeout=TIMEOUT_SECONDS):
            with attempt:
                headers = self._headers() | ({} if content is None else {"Content-Type": "application/json"})
                response = await self._http.request(method, path, content=content, params=query, headers=headers)
                raise_if_busy(response)
                return response, attempt.num
        raise AssertionError("an attempt returns or raises")


def _require_private(url: str) -> None:
    if not is_private_url(url):
        raise ValueError("name the federation by https://: a token and handles travel there (http:// on this machine)")


def _content(response: httpx.Response) -> bytes:
    if not response.is_success:
        raise problem_of(response)
    return response.content


def _is_problem(item: msgspec.Raw) -> bool:
    return "type" in _read(bytes(item), dict[str, msgspec.Raw])


def _read(data: bytes, cls: type[T]) -> T:
    """Return an answer; raise UnreachableError where it is none of a federation's: nothing is known then."""
    try:
        return msgspec.json.decode(data, type=cls)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _not_an_answer() from None


def _not_an_answer() -> UnreachableError:
    return UnreachableError("the answer is not one of a federation: is the address right?")
