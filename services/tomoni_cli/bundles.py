"""A town without a network: its history and the federation's receipts as files, carried by hand."""

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import asyncpg
from cyclopts import Parameter
from rich.console import Console

from tomoni import logging, settings
from tomoni.database import Pool
from tomoni.eventlog import EventLogError, Sequencer
from tomoni.eventlog.connections import AWAY
from tomoni.receipt_keys import ReceiptKeys, RotationError, from_file, to_file
from tomoni.secret_files import SecretFileError, written_secretly
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni.tlog.note import MAX_NOTE_SIZE
from tomoni_cli.asking import print_json
from tomoni_cli.progress import progress_bar
from tomoni_federation.admissions.office import Office
from tomoni_federation.bundles.taking import BundleRefusedError, Taken, Taker
from tomoni_federation.intake import sql
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.own_keys.receipt_key import open_cosigner, read_rotations
from tomoni_federation.projections.project import Projector
from tomoni_federation.settings import FederationSettings
from tomoni_federation.settings import load_settings as load_federation
from tomoni_registry.bundles.export import Exported
from tomoni_registry.bundles.export import export_bundle as write_bundle
from tomoni_registry.relay.receipts import Receipt, ReceiptRefusedError, Receipts
from tomoni_registry.relay.settings import RelaySettings, receipt_verifier
from tomoni_registry.relay.source import Source
from tomoni_registry.settings import load_settings as load_registry

REFUSED: Final = 1
"""Exit status: nothing was taken, or not all of it; the text says why and what to do."""

Json = Annotated[bool, Parameter(negative=(), help="Print JSON instead of text.")]
NodeConfig = Annotated[Path, Parameter(help="Settings file of the node (TOML); TOMONI_… variables prevail.")]
RelayConfig = Annotated[Path, Parameter(help="Settings file of the relay, `relay.toml`: its key for receipts counts.")]
FederationConfig = Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")]


def export_bundle(
    file: Annotated[Path, Parameter(help="The file to write; it must not be there.")],
    /,
    *,
    config: NodeConfig,
    since: Annotated[
        int | None, Parameter(negative=(), help="A size of the log; left out: that of the federation's newest receipt.")
    ] = None,
    json: Json = False,
) -> None:
    """Write what follows a size of the log into a signed file, for a federation that the node cannot reach.

    The node may run. The file holds no names and no handles, but events of people nevertheless: carry it encrypted.
    """
    loaded = load_registry(config)
    try:
        exported = asyncio.run(write_bundle(loaded, file, since))
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror or error}") from error
    except (SecretFileError, EventLogError) as error:
        _refuse(str(error))
    if json:
        print_json({"code": loaded.code, "since": exported.start, "size": exported.size, "as_of": exported.as_of})
        return
    _say(_described(loaded.code, file, exported))


def take_receipt(
    file: Annotated[Path, Parameter(help="What `tomoni federation import` has written.")],
    /,
    *,
    config: RelayConfig,
    json: Json = False,
) -> None:
    """Keep a receipt that was carried back: the next bundle begins after it, and the relay goes on from it."""
    loaded = settings.load(RelaySettings, config)
    try:
        with file.open("rb") as opened:
            receipt = asyncio.run(_keep(loaded, opened.read(2 * MAX_NOTE_SIZE)))  # a note, and keys before it
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ReceiptRefusedError, RotationError) as refused:
        _refuse(f"the receipt is not believed: {refused}")
    if json:
        print_json({"code": loaded.code, "size": receipt.size, "time": receipt.time})
        return
    _say(f"The federation has proven and kept {receipt.size} entries of {loaded.code}.")


async def _keep(loaded: RelaySettings, carried: bytes) -> Receipt:
    note, rotations = from_file(carried)
    keys = ReceiptKeys(loaded.federation, [receipt_verifier(loaded)])
    keys.learn(rotations)
    async with await open_pool(loaded.database) as pool:
        source = Source(pool, f"{loaded.federation}/{loaded.code}")
        return await Receipts(pool, source, loaded.code, keys).keep(note)


def import_bundle(
    file: Annotated[Path, Parameter(help="What `tomoni registry export` has written.")],
    /,
    *,
    config: FederationConfig,
    receipt: Annotated[
        Path | None, Parameter(help="Where the receipt for the town goes; left out: beside the file, `….receipt`.")
    ] = None,
    json: Json = False,
) -> None:
    """Take in a bundle by the way of everything else: proven, kept, given a receipt, projected. The service may run.

    Broken off at any moment, it goes on when it is run again; what is proven already changes nothing. Status 1: the
    bundle is refused, and why.
    """
    logging.configure("federation")
    loaded = load_federation(config)
    try:
        with progress_bar() as show:
            taken, carried = asyncio.run(_import(loaded, file, partial(show, "taking in entries")))
        written = receipt or file.with_name(f"{file.name}.receipt")
        _write_receipt(written, carried)
    except BundleRefusedError as refused:
        _refuse(str(refused))
    except (*AWAY, asyncpg.PostgresError, EventLogError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise SettingsError(f"{error.filename} cannot be used: {error.strerror}") from error
        _refuse(
            f"broken off by {type(error).__name__}: look at the stick and at the database, and run this again; "
            "it goes on where it was"
        )
    if json:
        told = {"code": taken.code, "before": taken.before, "proven": taken.proven, "size": taken.size}
        print_json({**told, "fresh_as_of": taken.fresh_as_of, "receipt": str(written)})
        return
    _say(f"{taken.proven - taken.before} entries of {taken.code} are new; {taken.proven} are proven.")
    _say(f"What is known of it is complete as of {_time(taken.fresh_as_of)}.")
    _say(f"Receipt for the town: {written}")


async def _import(
    loaded: FederationSettings, file: Path, on_progress: Callable[[int, int], None]
) -> tuple[Taken, bytes]:
    async with await open_pool(loaded.database) as pool, Sequencer(pool) as sequencer:
        rotations = await read_rotations(pool)
        receiver = Receiver(pool, loaded.federation, open_cosigner(loaded, rotations))
        office = Office(pool, sequencer, loaded.federation)
        taker = Taker(pool, loaded.federation, receiver, Projector(pool, loaded.federation), office)
        taken = await taker.take(file, on_progress)
        return taken, to_file(await _newest_receipt(pool, taken.code), rotations)


def give_receipt(
    code: Annotated[str, Parameter(help="Six-digit code of the town.")],
    file: Annotated[Path, Parameter(help="The file to write; an older receipt there is replaced.")],
    /,
    *,
    config: FederationConfig,
) -> None:
    """Write the newest receipt of a town into a file, for a town that the hub does not reach."""
    loaded = load_federation(config)
    try:
        _write_receipt(file, asyncio.run(_read_receipt(loaded, code)))
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror or error}") from error
    except BundleRefusedError as refused:
        _refuse(str(refused))


async def _read_receipt(loaded: FederationSettings, code: str) -> bytes:
    async with await open_pool(loaded.database) as pool:
        return to_file(await _newest_receipt(pool, code), await read_rotations(pool))


async def _newest_receipt(pool: Pool, code: str) -> bytes:
    row = await pool.fetchrow(sql.LATEST_RECEIPTS, [code])
    if row is None:
        raise BundleRefusedError(f"no receipt was given to {code}: nothing of it is proven")
    return row["receipt"]


def _write_receipt(file: Path, carried: bytes) -> None:
    with written_secretly(file, replace=True) as opened:
        opened.write(carried)


def _described(code: str, file: Path, exported: Exported) -> str:
    count = exported.size - exported.start
    as_of = _time(exported.as_of)
    return f"{file}: {count} entries of {code} after the size {exported.start}, complete as of {as_of}."


def _time(at: datetime | None) -> str:
    return "no time: no heartbeat counts yet" if at is None else at.isoformat(timespec="seconds")


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(f"tomoni: {text}\n")
    sys.exit(REFUSED)
