"""`tomoni federation suspend-key`, `affected`, `readmit`, and transport keys: what the secretariat does about keys."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from cyclopts import Parameter
from rich.console import Console

from tomoni.admission import AdmissionError, AdmissionRequest, TransportKeyRequest, verify_admission
from tomoni.database import connected
from tomoni.eventlog import Sequencer
from tomoni.events.federation import Branch
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni.service import open_pool
from tomoni.settings import SettingsError
from tomoni_cli.asking import NO, print_json, print_table
from tomoni_federation.admissions import affected as affecting
from tomoni_federation.admissions.decider import Admission, Refused
from tomoni_federation.admissions.office import Office
from tomoni_federation.settings import FederationSettings, load_settings

T = TypeVar("T")

Config = Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")]
Code = Annotated[str, Parameter(help="Six-digit code of the town.")]
Json = Annotated[bool, Parameter(negative=(), help="Print JSON instead of text.")]


def suspend_key(
    code: Code,
    /,
    *,
    config: Config,
    from_size: Annotated[
        int | None, Parameter(help="A proven size from which on nothing counts; left out: from where it is now.")
    ] = None,
    json: Json = False,
) -> None:
    """Suspend a town whose key is lost or stolen, while the service runs: what follows a proven size counts no more."""
    admission = _decide(config, lambda office: office.suspend(_known(code), from_size))
    if json:
        print_json({"code": code, "state": admission.state, "from_size": admission.up_to})
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{code} is suspended from size {admission.up_to} on; what came before still counts, and ages.")
    console.print(f"`tomoni federation affected {code}` lists the documents about which something counts no more.")
    console.print(f"The town makes new keys with `tomoni registry replace-keys --from-size {admission.up_to}`.")


def readmit(
    request: Annotated[Path, Parameter(help="The town's admission-request.json, checked by another way.")],
    /,
    *,
    config: Config,
    from_size: Annotated[
        int | None, Parameter(help="The proven size to go on from; left out: where the history stands still.")
    ] = None,
    branch_size: Annotated[int | None, Parameter(help="The size of a checkpoint of the history that counts.")] = None,
    branch_root: Annotated[str | None, Parameter(help="And its root, in hex, as verify-evidence prints both.")] = None,
) -> None:
    """Let a suspended or quarantined town go on from a proven size with new keys, while the service runs.

    Without a branch the history that the federation holds goes on. Where the other of two counts, name it by one of its
    checkpoints, and the last size with a receipt on which both agree; nothing but that history is then accepted.
    """
    if (branch_size is None) != (branch_root is None):
        raise SettingsError("a branch is named by both, --branch-size and --branch-root")
    settings = load_settings(config)
    try:
        asked = msgspec.json.decode(request.read_bytes(), type=AdmissionRequest)
        verify_admission(settings.federation, asked)
        named = None if branch_size is None else {"size": branch_size, "root": branch_root}
        branch = msgspec.convert(named, Branch | None)
    except (OSError, msgspec.MsgspecError, AdmissionError) as error:
        raise SettingsError(f"{request} is no request that can be granted: {error}") from error
    admission = _decide(config, lambda office: office.readmit(asked, from_size, branch))
    Console(soft_wrap=True, highlight=False).print(f"{admission.code} goes on with {admission.keys[0]}.")


def accept_transport_key(
    request: Annotated[Path, Parameter(help="The town's transport-key-request.json.")], /, *, config: Config
) -> None:
    """Let a town connect to the hub with its next key too, while the service runs; its log's key has asked for that."""
    try:
        asked = msgspec.json.decode(request.read_bytes(), type=TransportKeyRequest)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{request} is no request that can be granted: {error}") from error
    admission = _decide(config, lambda office: office.accept_transport_key(asked))
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{admission.code} connects with {' and '.join(admission.transport_keys)}.")
    console.print("When its relay runs with the next one, retire the other: tomoni federation retire-transport-key")


def retire_transport_key(code: Code, /, *, config: Config) -> None:
    """Refuse the transport key that was replaced, while the service runs: the hub cuts who is connected with it."""
    admission = _decide(config, lambda office: office.retire_transport_key(_known(code)))
    Console(soft_wrap=True, highlight=False).print(f"{code} connects with {admission.keys[2]} alone.")


def affected(
    code: Code,
    /,
    *,
    config: Config,
    from_size: Annotated[
        int | None, Parameter(help="What a suspension from this size on would affect; left out: what counts no more.")
    ] = None,
    json: Json = False,
) -> None:
    """List the documents about which a town's log said something that counts no more, by their hashes.

    Ends with status 0 where there are none, and 1 where there are some.
    """
    found = asyncio.run(_affected(load_settings(config), _known(code), from_size))
    if json:
        print_json(found)
    elif found.certificates or found.others:
        rows = [
            (one.certificate, document, ", ".join(one.events), "" if one.issued_after else "yes")
            for one in found.certificates
            for document in one.documents
        ]
        print_table(("certificate", "document (hash)", "what counts no more", "issued before"), rows)
        for subject in found.others:
            sys.stdout.write(f"also: {subject}\n")
    else:
        sys.stdout.write("Nothing that was proven of this log was taken back.\n")
    sys.exit(NO if found.certificates or found.others else 0)


async def _affected(settings: FederationSettings, code: str, from_size: int | None) -> affecting.Affected:
    async with connected(settings.database) as connection:
        return await affecting.affected(connection, code, from_size)


def _known(code: str) -> str:
    try:
        return by_code(code).code
    except JurisdictionError as error:
        raise SettingsError(str(error)) from error


def _decide(config: Path, decide: Callable[[Office], Awaitable[Admission]]) -> Admission:
    """Return what the office has decided; where it refuses, say why and end with status 1."""
    try:
        return asyncio.run(_at_the_office(load_settings(config), decide))
    except Refused as refused:
        sys.stderr.write(f"tomoni: {refused.text}\n")
        sys.exit(NO)


async def _at_the_office(settings: FederationSettings, decide: Callable[[Office], Awaitable[T]]) -> T:
    """Decide beside a running service: both append to one log, and the service signs what was decided."""
    async with await open_pool(settings.database) as pool, Sequencer(pool) as sequencer:
        return await decide(Office(pool, sequencer, settings.federation))
