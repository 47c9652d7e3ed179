"""The tail of a log as the federation gives it back to the log's own town: a page of `GET /v1/jurisdictions/…/tail`."""

import msgspec


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that was proven: the size it covers and the signed note."""

    size: int
    note: bytes


class TailPage(msgspec.Struct, frozen=True, kw_only=True):
    """The proven entries from a position on, in order, byte for byte, and the checkpoints within them.

    `after` is where the next page begins, None on the last one. `ahead` are notes that the log's own key has signed for
    more than what is proven: whoever lacks those entries too must not sign.
    """

    entries: tuple[bytes, ...]
    checkpoints: tuple[Checkpoint, ...]
    ahead: tuple[bytes, ...] = ()
    after: int | None = None
