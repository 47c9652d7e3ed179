"""What `tomoni registry recover` reads and tells: the tail of a log over HTTP or from a folder, and what came of it."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
from rich.console import Console

from tomoni.addresses import is_private_url, is_this_machine
from tomoni.eventlog import EventLogError
from tomoni.eventlog.recovery import RecoveryRefused, TailSource
from tomoni.secret_files import SecretFileError
from tomoni.settings import SettingsError
from tomoni.tail import Checkpoint, TailPage
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, TileError, decode_bundle, tile_width
from tomoni.tlog.verify import CHECKPOINT_PATH, NotPublishedError
from tomoni_auditor.verify.sources import FolderSource, SourceError
from tomoni_cli.asking import read_token
from tomoni_registry.recover import Recovered
from tomoni_registry.recover import recover as recover_log
from tomoni_registry.settings import RegistrySettings


def bring_back(
    settings: RegistrySettings,
    source: str,
    token_file: Path | None,
    *,
    last_word_is_lost: bool,
    lost_keys: Sequence[str] = (),
) -> Recovered:
    """Recover from an address or a folder; where nothing can be brought back, say why and end with status 1."""
    try:
        tail = _source(settings, source, token_file)
        lost = [Verifier.parse(key) for key in lost_keys]
        return asyncio.run(recover_log(settings, tail, last_word_is_lost=last_word_is_lost, lost_keys=lost))
    except NoteError as error:
        raise SettingsError(f"--lost-key is no verifier key: {error}") from error
    except (RecoveryRefused, EventLogError, SourceError, SecretFileError) as refused:
        sys.stderr.write(f"tomoni: not recovered: {refused}\n")
        sys.exit(1)


def tell(recovered: Recovered, *, keys_are_lost: bool = False) -> None:
    """Say what came back, what did not, and what to do."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{recovered.size - recovered.before} entries came back; the log has {recovered.size}.")
    for certificates, lack in (
        (recovered.without_application, "came back without any personal data: enter it from the paper files"),
        (recovered.without_records, "changed in what was lost: reasons, new handles and who acted are missing"),
    ):
        if certificates:
            console.print(f"{len(certificates)} certificates {lack}:")
            console.print("\n".join(f"  {certificate}" for certificate in certificates))
    if keys_are_lost:
        console.print("The node cannot sign yet: make new keys with `tomoni registry replace-keys`.")
        return
    if recovered.signed == recovered.size:
        console.print("Start the node: it signs and goes on.")
        return
    console.print(f"The node must not sign yet: {recovered.signed} entries were signed, {recovered.size} are proven.")
    console.print("Keep last-checkpoint, wait for the hub to deliver the rest, and run this again; see the runbook.")


class HttpTail:
    """The tail as the federation gives it to a token of the town."""

    def __init__(self, url: str, code: str, token: str) -> None:
        """Ask the federation at a URL; raise SettingsError where others could read the token on its way."""
        if not is_private_url(url):
            raise SettingsError("name the federation by https://: a token travels there (http:// on this machine)")
        self._url = f"{url.rstrip('/')}/v1/jurisdictions/{code}/tail"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._near = is_this_machine(httpx.URL(url).host)

    async def page(self, start: int) -> TailPage:
        """Return the entries from a position on; raise SourceError where the federation does not give them."""
        try:
            async with httpx.AsyncClient(headers=self._headers, timeout=60, trust_env=not self._near) as client:
                answer = await client.get(self._url, params={"from": start})
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=TailPage)
        except httpx.HTTPStatusError as error:
            raise SourceError(f"the federation answers {error.response.status_code}: look at the token") from error
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise SourceError(f"the federation cannot be read: {type(error).__name__}; try again") from error


class FolderTail:
    """The tail from a folder of tlog-tiles files, as an auditor has fetched it: one checkpoint, and the entries."""

    def __init__(self, folder: Path) -> None:
        self._files = FolderSource(folder)

    async def page(self, start: int) -> TailPage:
        """Return the entries of one bundle from a position on; raise SourceError where the folder has none."""
        try:
            note = self._files.fetch(CHECKPOINT_PATH)
            size = read_checkpoint(note).size
            index = start // TILE_WIDTH
            end = min((index + 1) * TILE_WIDTH, size)
            if start >= size:
                return TailPage(entries=(), checkpoints=())
            bundle = EntryBundle(index, tile_width(0, index, size))
            entries = tuple(decode_bundle(self._files.fetch(bundle.path), bundle.width))
        except (NoteError, TileError, NotPublishedError) as error:
            raise SourceError(f"the folder is not one of tlog-tiles files: {type(error).__name__}") from error
        last = (Checkpoint(size=size, note=note),) if end == size else ()
        return TailPage(
            entries=entries[start - index * TILE_WIDTH :], checkpoints=last, after=None if end == size else end
        )


def _source(settings: RegistrySettings, source: str, token_file: Path | None) -> TailSource:
    if not source.startswith(("http://", "https://")):
        return FolderTail(Path(source))
    if token_file is None:
        raise SettingsError("name the file with your token of the federation: --token-file")
    return HttpTail(source, settings.code, read_token(token_file))
