"""`tomoni recognise`: whether a document counts somewhere, for a service, on a day, and why."""

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from tomoni.client import ItemProblem, Recognition, RecognitionQuestion
from tomoni.settings import SettingsError
from tomoni_cli.asking import NO, UNKNOWN, YES, Federation, ask, print_json, read_handle, read_items

app = App(name="recognise", help="Ask whether documents count at a receiver for a service, and why.")


@app.default
def recognise(
    issuer: Annotated[str | None, Parameter(help="Code of the issuer; the handle is then asked for.")] = None,
    /,
    *,
    federation: Federation,
    receiver: Annotated[str | None, Parameter(help="Code of the jurisdiction that is to recognise it.")] = None,
    service: Annotated[str | None, Parameter(help="What is asked for, such as public-housing.")] = None,
    on: Annotated[date | None, Parameter(help="The day in Japan; today by default.")] = None,
    purpose: Annotated[str, Parameter(help="What it is for: how old the answer may be.")] = "counter",
    file: Annotated[
        Path | None, Parameter(help="JSON lines with issuer, handle, receiver, service and, if you like, on.")
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="Print a JSON array.")] = False,
) -> None:
    """Ask; exit with 0 where all are recognised, 3 where one is unknown, else 1."""
    questions = read_items(file, RecognitionQuestion) if file else [_question(issuer, receiver, service, on)]
    answers = ask(federation, lambda client: client.recognise_many(questions, purpose=purpose))
    if json:
        print_json(answers)
    else:
        for question, answer in zip(questions, answers, strict=True):
            _explain(Console(), question, answer)
    sys.exit(_ending(answers))


def _question(issuer: str | None, receiver: str | None, service: str | None, on: date | None) -> RecognitionQuestion:
    if issuer is None or receiver is None or service is None:
        raise SettingsError("name an issuer, --receiver and --service, or a file of questions with --file")
    return RecognitionQuestion(issuer=issuer, handle=read_handle(), receiver=receiver, service=service, on=on)


def _explain(console: Console, question: RecognitionQuestion, answer: Recognition | ItemProblem) -> None:
    console.print(f"[bold]{question.issuer} at {question.receiver}, {question.service}[/]", highlight=False)
    if isinstance(answer, ItemProblem):
        console.print(f"  not answered: {answer.detail}", highlight=False)
        return
    lines = [answer.decision + (f", pattern {answer.pattern}" if answer.pattern else "")]
    lines += [f"because: {reason.text}" for reason in answer.reasons]
    lines += [f"terms: {answer.terms}"] if answer.terms else []
    lines += [f"also to show: {', '.join(answer.conditions)}"] if answer.conditions else []
    lines += [f"considered: {one.arrangement} ({one.pattern}): {one.text}" for one in answer.considered]
    lines += [f"certificate: {answer.certificate.status}, as of {answer.certificate.fresh_as_of}"]
    for line in lines:
        console.print(f"  {line}", highlight=False)


def _ending(answers: list[Recognition | ItemProblem]) -> int:
    if any(isinstance(one, Recognition) and one.decision == "unknown" for one in answers):
        return UNKNOWN
    return YES if all(isinstance(one, Recognition) and one.is_recognised for one in answers) else NO
