"""What the commands that ask a federation share: where it is, with which token, handles that are typed, endings."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from tomoni.client import Client, ClientError, Document
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.settings import SettingsError

T = TypeVar("T")

YES: Final = 0
"""Exit status: it is valid, it counts, it was done."""
NO: Final = 1
"""Exit status: it is not, or one of many was refused."""
UNKNOWN: Final = 3
"""Exit status: nobody knows right now, or the federation refused to say. Never take it as yes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Federation:
    """Where the federation is and who asks."""

    url: Annotated[str, Parameter(help="Address of the federation.", env_var="TOMONI_URL")]
    token_file: Annotated[
        Path, Parameter(help="File with your token, which only you can read.", env_var="TOMONI_TOKEN_FILE")
    ]

    def token(self) -> str:
        """Return the token; raise SettingsError where the file cannot be used."""
        return read_token(self.token_file)


def read_token(path: Path) -> str:
    """Return the bearer token in a file; raise SettingsError where the file cannot be used or holds none."""
    try:
        token = read_secret(path).decode("ascii").strip()
    except SecretFileError as error:
        raise SettingsError(f"the token file cannot be used: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the token file {path} does not hold one token on one line") from error
    if not token.isprintable() or not token or " " in token:
        raise SettingsError(f"the token file {path} does not hold one token on one line")
    return token


def ask(federation: Federation, question: Callable[[Client], Awaitable[T]]) -> T:
    """Return the answer; where the federation refuses or cannot be reached, say so and exit with UNKNOWN.

    Raises SettingsError where it must not be asked over such an address.
    """

    async def asking() -> T:
        async with _client(federation) as client:
            return await question(client)

    try:
        return asyncio.run(asking())
    except ClientError as error:
        sys.stderr.write(f"tomoni: {error}\n")
        sys.exit(UNKNOWN)


def _client(federation: Federation) -> Client:
    try:
        return Client(federation.url, federation.token)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def read_handle() -> str:
    """Return a handle typed without echo, or the first line of standard input.

    Never from the command line, which other accounts of the machine can read.
    """
    if sys.stdin.isatty():
        return getpass.getpass("Handle (as printed, not shown): ").strip()
    return sys.stdin.readline().strip()


def read_items(file: Path, cls: type[T]) -> list[T]:
    """Return the items of a file of JSON lines; raise SettingsError, repeating nothing, where one is wrong or none is.

    Of no documents all are valid, and nobody means to be told so.
    """
    items: list[T] = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            items.append(msgspec.json.decode(line, type=cls))
        except msgspec.MsgspecError:
            raise SettingsError(
                f"{file}: line {number} is not a JSON object with the fields this command reads"
            ) from None
    if not items:
        raise SettingsError(f"{file} has no line: there is nothing to ask about")
    return items


def read_documents(file: Path | None, issuer: str | None) -> list[Document]:
    """Return the documents of a file, or the one of an issuer whose handle is typed."""
    if file is not None:
        return read_items(file, Document)
    if issuer is None:
        raise SettingsError("name an issuer by its code, or a file of documents with --file")
    return [Document(issuer=issuer, handle=read_handle())]


def print_json(value: object) -> None:
    """Print a value as JSON, for machines."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table, for people."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table)
