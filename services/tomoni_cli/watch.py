"""`tomoni watch`: watch documents and follow what becomes of them."""

import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tomoni.client import Client, Document
from tomoni_cli.asking import NO, YES, Federation, ask, print_json, print_table, read_items

app = App(name="watch", help="Watch documents, and follow what becomes of them.")

Json = Annotated[bool, Parameter(negative=(), help="Print JSON.")]


@app.command(name="list")
def list_watches(*, federation: Federation, json: Json = False) -> None:
    """List your watches."""
    watches = ask(federation, Client.watches)
    if json:
        print_json(watches)
    else:
        print_table(("id", "name", "since"), [(one.id, one.name, one.created_at) for one in watches])


@app.command
def create(name: str, /, *, federation: Federation) -> None:
    """Make a watch, or find the one of that name, and print its id."""
    sys.stdout.write(ask(federation, lambda client: client.create_watch(name)).id + "\n")


@app.command
def delete(watch: str, /, *, federation: Federation) -> None:
    """Delete a watch with all it holds."""
    ask(federation, lambda client: client.delete_watch(watch))


@app.command
def add(
    watch: str,
    /,
    *,
    federation: Federation,
    file: Annotated[Path, Parameter(help="JSON lines with issuer, handle and reference.")],
    json: Json = False,
) -> None:
    """Watch documents; exit with 1 where one could not be watched."""
    documents = read_items(file, Document)
    results = ask(federation, lambda client: client.watch_documents(watch, documents))
    if json:
        print_json(results)
    else:
        print_table(("reference", "watched", ""), [(one.reference, one.watched, one.text) for one in results])
    sys.exit(YES if all(one.watched for one in results) else NO)


@app.command
def remove(watch: str, /, *references: str, federation: Federation) -> None:
    """Watch documents no more, by their references."""
    ask(federation, lambda client: client.unwatch_documents(watch, references))


@app.command
def follow(
    watch: str,
    /,
    *,
    federation: Federation,
    after: Annotated[int, Parameter(help="The id of the last change you have dealt with.")] = 0,
    count: Annotated[int | None, Parameter(help="End after so many changes.")] = None,
) -> None:
    """Print each change as a line of JSON, for ever; keep the last id and go on from there."""

    async def following(client: Client) -> None:
        left = count
        async with aclosing(client.changes(watch, after=after)) as changes:
            async for change in changes:
                print_json(change)
                sys.stdout.flush()
                left = None if left is None else left - 1
                if left == 0:
                    return

    ask(federation, following)
