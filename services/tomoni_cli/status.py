"""`tomoni status`: whether documents are valid."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tomoni.client import ItemProblem, Status
from tomoni_cli.asking import NO, UNKNOWN, YES, Federation, ask, print_json, print_table, read_documents

app = App(name="status", help="Ask whether documents are valid.")


@app.default
def status(
    issuer: Annotated[str | None, Parameter(help="Code of the issuer; the handle is then asked for.")] = None,
    /,
    *,
    federation: Federation,
    purpose: Annotated[str, Parameter(help="What it is for: how old the answer may be.")] = "counter",
    file: Annotated[Path | None, Parameter(help="JSON lines with issuer and handle, for many documents.")] = None,
    json: Annotated[bool, Parameter(negative=(), help="Print a JSON array.")] = False,
) -> None:
    """Ask; exit with 0 where all are valid, 3 where one is unknown, else 1."""
    documents = read_documents(file, issuer)
    answers = ask(federation, lambda client: client.statuses(documents, purpose=purpose))
    if json:
        print_json(answers)
    else:
        rows = [_row(one.issuer, answer) for one, answer in zip(documents, answers, strict=True)]
        print_table(("issuer", "status", "as of", ""), rows)
    sys.exit(_ending(answers))


def _row(issuer: str, answer: Status | ItemProblem) -> tuple[object, ...]:
    if isinstance(answer, ItemProblem):
        return (issuer, "–", None, answer.detail)
    return (issuer, answer.status, answer.fresh_as_of, answer.text)


def _ending(answers: list[Status | ItemProblem]) -> int:
    if any(isinstance(one, Status) and one.status == "unknown" for one in answers):
        return UNKNOWN
    return YES if all(isinstance(one, Status) and one.is_valid for one in answers) else NO
