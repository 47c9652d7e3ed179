"""`tomoni log`: what anybody can do with a transparency log who has its key."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import stamina.instrumentation
from cyclopts import App, Parameter

from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import Checkpoint
from tomoni.tlog.cosignature import parse_verifier
from tomoni.tlog.keys import NoteError
from tomoni.tlog.verify import Fault, LogFaultError
from tomoni_auditor.verify.sources import SourceError, open_source
from tomoni_auditor.verify.verification import verify_log
from tomoni_cli import asking
from tomoni_cli.progress import progress_bar

FAULTY, UNREADABLE = 1, 2
"""Exit statuses: the log is not what its checkpoint says; nothing can be said about it."""

app = App(name="log", help="Read and verify transparency logs (C2SP tlog-tiles), ours or another's.")


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of a verification, as `--json` prints it; `fault` only where there is one."""

    ok: bool
    origin: str | None = None
    size: int | None = None
    root: str | None = None
    seconds: float
    fault: Fault | None = None


@app.command
def verify(
    location: str,
    /,
    *,
    key: Annotated[list[str], Parameter(negative=())],
    origin: str | None = None,
    token_file: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Verify every entry and tile of a log against its signed checkpoint.

    Prints size and root. At the first fault prints where it is, what was expected and what was found, with status 1.
    Status 2 means that the log could not be read or the key is not one: nothing is said about the log.

    Parameters
    ----------
    location
        The log's URL prefix, under which `checkpoint` and `tile/` are, or a folder with these files.
    key
        A verifier key of the log, `name+hash+key`. Several may be given: one of them must have signed.
    origin
        The origin the checkpoint must have. Without it, any log of the key is accepted: read the origin printed.
    token_file
        A file with a bearer token, for logs that are not for everybody.
    json
        Print a JSON object instead of text.

    """
    stamina.instrumentation.set_on_retry_hooks([])  # its log lines would mix with the report
    started = time.monotonic()
    try:
        checkpoint = _verify(location, key, origin, token_file)
    except LogFaultError as error:
        _print(Report(ok=False, seconds=_since(started), fault=error.fault), json=json)
        sys.exit(FAULTY)
    except (SourceError, NoteError) as error:
        print(f"tomoni: {error}", file=sys.stderr)  # noqa: T201  # the command line talks to people
        sys.exit(UNREADABLE)
    root = checkpoint.root.hex()
    seconds = _since(started)
    _print(Report(ok=True, origin=checkpoint.origin, size=checkpoint.size, root=root, seconds=seconds), json=json)


def _verify(location: str, keys: list[str], origin: str | None, token_file: Path | None) -> Checkpoint:
    verifiers = [parse_verifier(text) for text in keys]
    token = read_token(token_file) if token_file else None
    with progress_bar() as show, open_source(location, token) as source:
        return verify_log(source, verifiers, origin, partial(show, "verifying entries"))


def read_token(path: Path) -> str:
    """Return the bearer token in a file; raise SourceError where there is none."""
    try:
        return asking.read_token(path)
    except SettingsError as error:
        raise SourceError(str(error)) from error


def _print(report: Report, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode(report).decode())  # noqa: T201
        return
    fault = report.fault
    if fault is None:
        lines = [f"origin    {report.origin}", f"size      {report.size}", f"root      {report.root}", "verified  yes"]
    else:
        position = "none in particular" if fault.position is None else str(fault.position)
        lines = ["verified  NO", f"position  {position}", f"file      {fault.path}"]
        lines += [f"expected  {fault.expected}", f"found     {fault.found}"]
    print("\n".join(lines))  # noqa: T201


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
