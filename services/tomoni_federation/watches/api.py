# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""`/v1/watches`: documents that somebody's services rely on, and what becomes of them, as a stream or page by page."""

from collections.abc import Set
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, FromPath, HeaderParameter, QueryParameter
from msgspec import Meta

from tomoni.auth import requires
from tomoni.documentation import answered, example, problems
from tomoni.documents import HandleError, holds_one_of, parse_handle
from tomoni.events.types import Code, Slug
from tomoni.problems import Problem
from tomoni.strict_json import StrictJson
from tomoni_federation.batches import MOST
from tomoni_federation.interface import Answering, AnyRequest, Described, document_key
from tomoni_federation.status.api import Handle, respond
from tomoni_federation.watches.feed import PAGE, ChangeBody, Feed, FollowResponse, to_body
from tomoni_federation.watches.register import Item, Owner, Page, Refusal, Register, Watch, owner_of

Reference = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$(?!\n)",
        description="your own name of the document, such as a case number: no personal data, and never the handle",
        examples=["housing-2026-0412"],
    ),
]
MAX_BODY_BYTES: Final = 262_144
"""A thousand documents with the longest references fit."""

TEXTS: Final[dict[Refusal, str]] = {
    "handle-malformed": "The handle cannot be one. Read it again from the document.",
    "jurisdiction-not-found": "No issuer can have this code. Look at it again.",
    "out-of-reach": "An aggregator watches documents of its own prefecture only.",
    "reference-in-use": "The reference, or the document under another one, is in the watch already. Remove that first.",
    "reference-is-the-handle": "A handle is a secret and cannot be in the reference, which is shown. Choose another.",
    "watch-full": "The watch has no room for another document. Remove some, or make another watch.",
}


class NewWatch(Described, frozen=True, kw_only=True):
    """A watch by a name, which is shown: nothing secret belongs there."""

    name: Slug


class WatchedDocument(Described, frozen=True, kw_only=True):
    """A document by its issuer and handle, and the reference by which changes will name it."""

    issuer: Code
    handle: Handle
    reference: Reference


class WatchedDocuments(Described, frozen=True, kw_only=True):
    """Up to a thousand documents."""

    documents: Annotated[tuple[WatchedDocument, ...], Meta(min_length=1, max_length=MOST)]


class References(Described, frozen=True, kw_only=True):
    """Up to a thousand documents by their references."""

    references: Annotated[tuple[Reference, ...], Meta(min_length=1, max_length=MOST)]


class WatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A watch."""

    id: UUID
    name: str
    created_at: datetime


class WatchesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The watches of whoever asks."""

    watches: tuple[WatchAnswer, ...]


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one document of the request; `reason` and `text` where it is refused."""

    reference: str
    watched: bool
    reason: Refusal | None = None
    text: str | None = None


class ItemsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the request."""

    documents: tuple[ItemAnswer, ...]


class ChangeAnswer(ChangeBody, frozen=True, kw_only=True, omit_defaults=True):
    """A change with its number in the watch and its kind.

    Of a document `snapshot` (the first), `status` or `removed`; `issuer` of how an issuer of such documents stands.
    """

    id: int
    event: str


class ChangesAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of changes; ask `after` next, at once where the page is full, and with `forgotten` where it is given."""

    changes: tuple[ChangeAnswer, ...]
    after: int
    forgotten: int | None = None


_WATCHING: Final = requires("verifier", "aggregator")
_EXAMPLE: Final = WatchedDocuments(
    documents=(WatchedDocument(issuer="131130", handle="0000-0000-0000-0000-00", reference="housing-2026-0412"),)
)
_STREAM: Final = {
    200: ResponseSpec(
        data_container=ChangesAnswer,
        generate_examples=False,
        description="A page (Accept: application/json), or a stream of Server-Sent Events with the same data",
    )
}


def watch_routes(answering: Answering, register: Register, feed: Feed) -> Router:
    """Return the routes of watches."""

    @post(
        "/",
        dto=StrictJson[NewWatch],
        return_dto=None,
        status_code=200,
        opt=_WATCHING,
        responses=answered(200, WatchAnswer) | problems("unsupported-media-type", "watches-full"),
    )
    async def create(
        request: AnyRequest,
        data: Annotated[NewWatch, Body(examples=[example(NewWatch(name="public-housing"), "A watch")])],
    ) -> Response[bytes]:
        """Make a watch. Sent again it is answered the same."""
        return respond(_watch(await register.create(owner_of(request.user), data.name)))

    @get("/", opt=_WATCHING, responses=answered(200, WatchesAnswer) | problems())
    async def owned(request: AnyRequest) -> Response[bytes]:
        """List your watches."""
        watches = await register.owned(owner_of(request.user))
        return respond(WatchesAnswer(watches=tuple(_watch(watch) for watch in watches)))

    @delete("/{watch:uuid}", opt=_WATCHING, responses=problems("not-found"))
    async def remove_watch(request: AnyRequest, watch: FromPath[UUID]) -> None:
        """Delete a watch with everything it holds; who follows it is told to go."""
        await register.delete(owner_of(request.user), watch)

    @post(
        "/{watch:uuid}/documents",
        dto=StrictJson[WatchedDocuments],
        return_dto=None,
        status_code=200,
        opt=_WATCHING,
        request_max_body_size=MAX_BODY_BYTES,
        responses=answered(200, ItemsAnswer) | problems("not-found", "too-many-requests", "unsupported-media-type"),
    )
    async def add(
        request: AnyRequest,
        watch: FromPath[UUID],
        data: Annotated[WatchedDocuments, Body(examples=[example(_EXAMPLE, "One document")])],
    ) -> Response[bytes]:
        """Watch documents; each counts as one lookup. What is watched already stays as it is."""
        owner = owner_of(request.user)
        answering.limit.take(request.user.subject, len(data.documents))
        handles = {handle for one in data.documents if (handle := _handle(one)) is not None}
        results = await register.add(owner, watch, [_item(owner, one, handles) for one in data.documents])
        answers = tuple(_result(one, reason) for one, reason in zip(data.documents, results, strict=True))
        return respond(ItemsAnswer(documents=answers))

    @post(
        "/{watch:uuid}/documents/remove",
        dto=StrictJson[References],
        return_dto=None,
        status_code=204,
        opt=_WATCHING,
        responses=problems("not-found", "unsupported-media-type"),
    )
    async def remove(
        request: AnyRequest,
        watch: FromPath[UUID],
        data: Annotated[References, Body(examples=[example(References(references=("housing-2026-0412",)), "One")])],
    ) -> None:
        """Watch documents no more; those that are not watched are passed over."""
        await register.remove(owner_of(request.user), watch, data.references)

    @get(
        "/{watch:uuid}/changes",
        opt=_WATCHING,
        responses=_STREAM | problems("changes-forgotten", "not-found", "too-many-requests"),
    )
    async def changes(
        request: AnyRequest,
        watch: FromPath[UUID],
        last_event_id: Annotated[
            str | None, HeaderParameter(name="Last-Event-ID", description="the number of the last event that came")
        ] = None,
        after: Annotated[int, QueryParameter(ge=0, le=2**53 - 1, description="the same, where there is no header")] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=MOST, description="changes of a page")] = PAGE,
        forgotten: Annotated[
            int | None, QueryParameter(ge=0, le=2**53 - 1, description="as the page before gave it, if it did")
        ] = None,
    ) -> Response[bytes]:
        """Follow a watch: the changes after a number, each once, in order per issuer, and those to come.

        With `Accept: application/json` it is one page, at once.
        """
        owner = owner_of(request.user)
        begin = after if last_event_id is None else _number(last_event_id)
        if _wants_page(request.headers.get("accept", "")):
            return respond(_page(await register.changes(owner, watch, begin, limit, forgotten), begin))
        return FollowResponse(feed, owner, watch, begin)

    handlers = [create, owned, remove_watch, add, remove, changes]
    return Router(path="/v1/watches", route_handlers=handlers, tags=["watches"])


def _watch(watch: Watch) -> WatchAnswer:
    return WatchAnswer(id=watch.id, name=watch.name, created_at=watch.created_at)


def _item(owner: Owner, one: WatchedDocument, handles: Set[str]) -> Item:
    return Item(one.reference, _key(owner, one, handles))


def _key(owner: Owner, one: WatchedDocument, handles: Set[str]) -> tuple[str, bytes] | Refusal:
    """Return what names a document in the read model, or why it cannot be watched."""
    if not owner.reaches(one.issuer):
        return "out-of-reach"
    try:
        key = document_key(one.issuer, one.handle)
    except HandleError:
        return "handle-malformed"
    except Problem:
        return "jurisdiction-not-found"
    # whoever has shifted a column by a row sends another document's
    return "reference-is-the-handle" if holds_one_of(one.reference, handles) else key


def _handle(one: WatchedDocument) -> str | None:
    try:
        return parse_handle(one.handle)
    except HandleError:
        return None


def _result(one: WatchedDocument, reason: Refusal | None) -> ItemAnswer:
    text = None if reason is None else TEXTS[reason]
    return ItemAnswer(reference=one.reference, watched=reason is None, reason=reason, text=text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Problem("malformed", "Last-Event-ID is not a number of this feed. Send the id of the last event you had.")
    return int(text)


def _wants_page(accept: str) -> bool:
    return "application/json" in accept and "text/event-stream" not in accept


def _page(page: Page, after: int) -> ChangesAnswer:
    listed = tuple(
        ChangeAnswer(id=change.number, event=change.kind, **msgspec.structs.asdict(to_body(change)))
        for change in page.changes
    )
    after = listed[-1].id if listed else after
    return ChangesAnswer(changes=listed, after=after, forgotten=page.forgotten if after < page.forgotten else None)
