"""`tomoni statement`: check signed statements, offline, years later if need be."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import httpx
import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from tomoni import times
from tomoni.addresses import is_private_url, is_this_machine
from tomoni.documents import HandleError
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni.settings import SettingsError
from tomoni.statements import MOST_BYTES, Statement, StatementError, require_about, verify

app = App(name="statement", help="Check signed statements of a federation.")

_TIMEOUT: Final = 30.0


@app.command(name="verify")
def check(
    file: Annotated[Path, Parameter(help="The statement.")],
    *,
    keys: Annotated[str, Parameter(help="Key set of the federation: a file, or the address of /v1/statements/keys.")],
    issuer: Annotated[str | None, Parameter(help="With --handle: code of the issuer on the document.")] = None,
    handle: Annotated[
        str | None,
        Parameter(
            help="`-`: read the document's handle from standard input, and check that it is meant.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    at: Annotated[
        datetime | None, Parameter(help="For a statement on file: the time at which it was relied on; else now.")
    ] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Say whether a statement holds: its signature, its form, its dates, and with a handle which document it is about.

    The keys say who speaks, so get them from the federation itself. Ends with status 1 where it does not hold.
    """
    if (issuer is None) != (handle is None) or handle not in {None, "-"}:
        # what was given is not repeated: it may be a handle, which others of this machine have seen by now
        raise SettingsError("name --issuer and `--handle -` together; a handle is read from standard input alone")
    instant = times.now() if at is None else at if at.tzinfo is not None else at.replace(tzinfo=times.JST)
    text, key_set = read_file(file), read_keys(keys)
    try:
        statement = verify(text.strip(), key_set, instant)
        if issuer is not None:
            require_about(statement, issuer, sys.stdin.readline().strip())
    except (StatementError, HandleError) as error:
        _refuse(str(error), json=json)
    if json:
        told = {"holds": True, "document_checked": issuer is not None, "statement": statement}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        _tell(statement, document_checked=issuer is not None)


def read_file(path: Path) -> bytes:
    """Return a statement, an answer or a key set; raise SettingsError where it cannot be one."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"{path} is too large to be a statement, an answer or a key set")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def read_keys(place: str) -> bytes:
    """Return a key set of a file or an address; one in plain HTTP is only taken from this machine."""
    if not place.startswith(("http://", "https://")):
        return read_file(Path(place))
    if not is_private_url(place):
        raise SettingsError("get the keys by https: who can change them on the way can sign anything")
    try:  # what this machine is asked for goes through no proxy
        answer = httpx.get(place, timeout=_TIMEOUT, trust_env=not is_this_machine(httpx.URL(place).host))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SettingsError(f"the keys cannot be got: {type(error).__name__}") from error
    if answer.status_code != 200:
        raise SettingsError(f"the keys cannot be got: the answer was {answer.status_code}")
    return answer.content


def _refuse(reason: str, *, json: bool) -> NoReturn:
    if json:
        sys.stdout.write(msgspec.json.encode({"holds": False, "reason": reason}).decode() + "\n")
    else:
        sys.stdout.write(f"The statement does NOT hold: {reason}.\n")
    sys.exit(1)


def _tell(statement: Statement, *, document_checked: bool) -> None:
    asked, answer = statement.asked, statement.answer
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"The statement holds: {statement.iss} said so on {_time(statement.iat)}.")
    console.print(f"Counts until  {_time(statement.exp)}, for the purpose {asked.purpose}")
    console.print(f"Issuer        {_town(asked.issuer)}")
    if asked.receiver is not None:
        console.print(f"Receiver      {_town(asked.receiver)}, for {asked.service}")
    console.print(f"On            {asked.on}")
    if asked.as_known_at is not None:
        known_at = _time(int(asked.as_known_at.timestamp()))
        console.print(f"As known at   {known_at}: what became known after that is NOT in the answer")
    console.print(f"Answer        {answer.get('decision', answer.get('status'))}")
    checked = "the one whose handle was given" if document_checked else "not checked: give --issuer and --handle -"
    console.print(f"Document      {checked}")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, times.JST).strftime("%Y-%m-%d %H:%M:%S JST")


def _town(code: str) -> str:
    try:
        return f"{code} {by_code(code).name}"
    except JurisdictionError:
        return code
