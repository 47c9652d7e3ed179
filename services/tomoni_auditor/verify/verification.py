"""One run over a log: its checkpoint under the keys, then every tile and entry under the checkpoint."""

from collections.abc import Callable, Sequence

from tomoni.tlog.checkpoint import Checkpoint
from tomoni.tlog.note import Verifier
from tomoni.tlog.verify import reading_order, verify_checkpoint, verify_tree
from tomoni_auditor.verify.sources import Source

Progress = Callable[[int, int], None]
"""Told how many entries are verified, of how many."""


def verify_log(
    source: Source, verifiers: Sequence[Verifier], origin: str | None = None, on_progress: Progress | None = None
) -> Checkpoint:
    """Return the checkpoint of a log of which every tile and entry is as signed.

    Raises LogFaultError at the first fault, SourceError where the log could not be read. Nothing but the checkpoint
    is fetched before it is verified: a size that nobody signed would send us anywhere (C2SP tlog-tiles, "Partial
    Tiles").
    """
    checkpoint = verify_checkpoint(source.fetch, verifiers, origin)
    source.expect(reading_order(checkpoint.size))
    size = checkpoint.size
    verify_tree(checkpoint, source.fetch, on_progress and (lambda verified: on_progress(verified, size)))
    return checkpoint
