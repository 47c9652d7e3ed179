"""`tomoni federation evidence` and `tomoni audit verify-evidence`: what a log is accused of, in a file."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from cyclopts import Parameter

from tomoni.database import snapshot
from tomoni.evidence.form import EvidenceError
from tomoni.evidence.judging import Conviction, judge
from tomoni.secret_files import written_secretly
from tomoni.settings import SettingsError
from tomoni.tlog.cosignature import parse_verifier
from tomoni.tlog.keys import NoteError
from tomoni_cli.asking import print_json, print_table
from tomoni_federation.mirror.evidence_files import Listed, judge_file, list_evidence, write_evidence
from tomoni_federation.settings import FederationSettings, load_settings

NOT_CONVINCING: Final = 1


def write(
    code: Annotated[str, Parameter(help="The jurisdiction.")],
    /,
    *,
    config: Annotated[Path, Parameter(help="Settings file (TOML); TOMONI_… variables prevail.")],
    out: Annotated[
        Path | None, Parameter(help="The file to write, which only you can read; else standard output.")
    ] = None,
    evidence: Annotated[
        str | None, Parameter(name="--hash", help="Which, as `--list` shows it; else the newest.")
    ] = None,
    listing: Annotated[bool, Parameter(name="--list", negative=(), help="List what is kept against the log.")] = False,
    json: Annotated[bool, Parameter(negative=(), help="Print the list as JSON.")] = False,
) -> None:
    """Write the evidence against a jurisdiction's log as a file that convinces by the log's own key.

    `tomoni audit verify-evidence` checks it, offline. Status 1 means that there is none, or that the mirror has lost
    what it needs.
    """
    loaded = load_settings(config)
    listed = asyncio.run(_list(loaded, code))
    if listing:
        _print_list(listed, json=json)
        return
    chosen = [one for one in listed if evidence is None or one.hash == evidence][-1:]
    if not chosen:
        sys.stderr.write(f"tomoni: no such evidence is kept against {code}: see --list\n")
        sys.exit(NOT_CONVINCING)
    with tempfile.TemporaryFile() as file:
        try:
            asyncio.run(_write(loaded, code, chosen[0].hash, file))
        except EvidenceError as error:
            sys.stderr.write(f"tomoni: the file would not convince, nothing was written: {error}\n")
            sys.exit(NOT_CONVINCING)
        file.seek(0)
        if out is None:
            shutil.copyfileobj(file, sys.stdout.buffer)
        else:
            _copy(file, out)


def _copy(file: BinaryIO, out: Path) -> None:
    try:
        with written_secretly(out, replace=True) as copied:
            shutil.copyfileobj(file, copied)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error


def verify(
    file: Annotated[Path, Parameter(help="The evidence.")],
    /,
    *,
    key: Annotated[
        list[str],
        Parameter(name="--key", negative=(), help="A verifier key of the log; for heartbeats theirs as well."),
    ],
    json: Annotated[bool, Parameter(negative=(), help="Print JSON instead of text.")] = False,
) -> None:
    """Check evidence against a log, offline, and say what it proves and what it does not.

    Give the verifier key of the log, from where you trust it: the federation's own log, or the town. For a log that
    shrinks give its heartbeat key too. Status 1 means that the file does not convince, and says from which line on; 2,
    that it cannot be read or that a key is none.
    """
    try:
        verifiers = [parse_verifier(text) for text in key]
        with file.open("rb") as opened:
            conviction = judge(opened, verifiers)
    except EvidenceError as error:
        if json:
            print_json({"convinces": False, "first_line": error.first, "last_line": error.last, "found": error.text})
        else:
            sys.stderr.write(f"tomoni: this does not convince: {error}\n")
        sys.exit(NOT_CONVINCING)
    except NoteError as error:
        raise SettingsError(f"a key is none: {error}") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    if json:
        print_json({"convinces": True, "evidence": conviction})
    else:
        _print_conviction(conviction)


async def _list(loaded: FederationSettings, code: str) -> list[Listed]:
    async with snapshot(loaded.database) as connection:
        return await list_evidence(connection, code)


async def _write(loaded: FederationSettings, code: str, name: str, file: BinaryIO) -> None:
    """Write what is kept against a log under a name, and require that it convinces."""
    async with snapshot(loaded.database) as connection:
        await write_evidence(connection, code, name, file)
        file.seek(0)
        await judge_file(connection, code, file)


def _print_list(listed: list[Listed], *, json: bool) -> None:
    if json:
        print_json(listed)
    else:
        rows = [(one.found_at.isoformat(timespec="seconds"), one.kind, one.hash) for one in listed]
        print_table(("found", "kind", "hash"), rows)


def _print_conviction(found: Conviction) -> None:
    lines = [f"origin    {found.origin}", f"kind      {found.kind}", f"evidence  {found.evidence}"]
    lines += [f"key       {key}" for key in found.keys]
    lines += [f"signed    size {size}, root {root}" for size, root in zip(found.sizes, found.roots, strict=True)]
    lines += ["", f"It proves: {found.proves}", f"It does not prove: {found.does_not_prove}"]
    sys.stdout.write("\n".join(lines) + "\n")
