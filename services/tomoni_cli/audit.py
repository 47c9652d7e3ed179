"""`tomoni audit`: take a jurisdiction's history from anywhere, prove it, and trust nobody but a verifier key."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import stamina.instrumentation
from cyclopts import App, Parameter

from tomoni.tlog.keys import NoteError
from tomoni.tlog.proof import LogProofError, format_proof
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.fetch.log import ContradictionError
from tomoni_auditor.fetch.places import fetch_all
from tomoni_auditor.history.faults import HistoryFault
from tomoni_auditor.history.folders import Finding, Keys, prove_folder
from tomoni_auditor.proofs.making import Checked, check_proof, make_proof
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.asking import print_json, print_table
from tomoni_cli.log import FAULTY, UNREADABLE, read_token
from tomoni_cli.progress import progress_bar

app = App(name="audit", help="Take histories into a folder, prove them, replay them, and explain or refute answers.")
for _name, _help in (
    ("replay", "Print the state of a certificate, an issuer or everything, at a day or a position."),
    ("diff", "Compare a live federation with a replay: equal, or the first difference."),
    ("timeline", "Draw the life of a certificate or an issuer: one HTML file, nothing from outside."),
):
    app.command(f"tomoni_cli.audit_replay:{_name}", name=_name, help=_help)
app.command("tomoni_cli.audit_explain:explain", name="explain", help="Explain or refute an answer of the federation.")

Folder = Annotated[Path, Parameter(help="What `tomoni audit fetch` has filled.")]
ProverKey = Annotated[
    list[str], Parameter(name="--key", negative=(), help="A verifier key, `name+hash+key`; may be repeated.")
]
Json = Annotated[bool, Parameter(negative=(), help="Print JSON instead of text.")]


@app.command
def fetch(
    source: Annotated[str, Parameter(help="The address of a federation, a node or a log; a folder; or a bundle.")],
    folder: Annotated[Path, Parameter(help="Where the histories go.")],
    /,
    *,
    code: Annotated[list[str] | None, Parameter(negative=(), help="Of a jurisdiction; may be repeated.")] = None,
    token_file: Annotated[Path | None, Parameter(help="A file with a token of the auditor's scope.")] = None,
    json: Json = False,
) -> None:
    """Fetch histories into a folder: what is missing there, and nothing else.

    The folder has a folder for each log, by the jurisdiction's code, with the files of C2SP tlog-tiles. Cut off, it
    goes on where it was when it is run again. Nothing is verified but that entries and checkpoints fit together:
    `tomoni audit verify` does the rest. Status 1 means that the source contradicts itself or the folder; 2, that it
    cannot be read.
    """
    with ending(), progress("fetching") as show:
        token = read_token(token_file) if token_file else None
        rows: list[tuple[str, int, int, str]] = []
        for of_code, done in fetch_all(source, folder, codes=code or (), token=token, on_progress=show):
            rows.append((of_code, done.size, done.bundles, "the source is behind" if done.behind else ""))
    if json:
        names = ("code", "size", "bundles_fetched", "remark")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(("log", "entries", "bundles fetched", ""), rows)


@app.command
def verify(
    folder: Folder,
    /,
    *,
    key: ProverKey,
    code: Annotated[
        list[str] | None, Parameter(negative=(), help="A jurisdiction; may be repeated. Left out: all that are there.")
    ] = None,
    json: Json = False,
) -> None:
    """Prove the histories in a folder: tree, signatures, keys, receipts, admissions, and every entry a legal event.

    With the federation's own log in the folder its verifier key is enough. Without it give the key of each log. Give
    the federation's key for receipts too, or their times are not checked. At the first fault of a log it is said where
    it is and what should be there, with status 1; 2 means that nothing can be said.
    """
    with ending(), progress("verifying") as show:
        findings = list(prove_folder(folder, Keys(key), code or (), show))
    faulty = any(isinstance(finding, HistoryFault) for finding in findings)
    if json:
        print_json({"ok": not faulty, "logs": [_as_json(finding) for finding in findings]})
    else:
        for finding in findings:
            _print_finding(finding)
    sys.exit(FAULTY if faulty else 0)


@app.command
def prove(
    folder: Folder,
    code: Annotated[str, Parameter(help="The jurisdiction.")],
    position: Annotated[int, Parameter(help="The entry's position in its log.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="The file to write, `….tlog-proof`.")],
) -> None:
    """Write the proof of one entry, for somebody who has no more than keys (C2SP tlog-proof).

    It holds the entry, its inclusion proof and the first receipt that covers it, or else the newest checkpoint.
    """
    with ending():
        output.write_bytes(format_proof(make_proof(LogFolder(folder / code), position)))


app.command("tomoni_cli.evidence:verify", name="verify-evidence", help="Check evidence against a log, offline.")


@app.command(name="check-proof")
def check(file: Annotated[Path, Parameter(help="The proof.")], /, *, key: ProverKey, json: Json = False) -> None:
    """Check the proof of one entry, offline, and print the entry.

    Give the verifier key of the entry's log. With the federation's key for receipts, the federation must have cosigned,
    and it is said by when it held the entry. Status 1 means that the proof does not hold.
    """
    with ending():
        checked = _checked(file, key)
        if json:
            print_json({"holds": True, "proof": checked})
        else:
            _print_checked(checked)


def _checked(file: Path, keys: list[str]) -> Checked:
    try:
        return check_proof(file.read_bytes(), keys)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error


@contextmanager
def ending() -> Generator[None]:
    """End with the status of what went wrong, and say it: 1 for a history at fault, 2 where nothing can be said."""
    stamina.instrumentation.set_on_retry_hooks([])  # its log lines would mix with the report
    try:
        yield
    except (ContradictionError, LogProofError) as error:
        _end(str(error), FAULTY)
    except NotPublishedError as error:
        _end(f"the source has no {error}", UNREADABLE)
    except (SourceError, NoteError) as error:
        _end(str(error), UNREADABLE)


def _end(text: str, status: int) -> NoReturn:
    sys.stderr.write(f"tomoni: {text}\n")
    sys.exit(status)


@contextmanager
def progress(what: str) -> Generator[Callable[[str, int, int], None]]:
    """Give what shows how many entries of which log are done."""
    with progress_bar() as show:
        yield lambda code, done, of: show(f"{what} {code}", done, of)


def _as_json(finding: Finding) -> dict[str, object]:
    if isinstance(finding, HistoryFault):
        return {"ok": False, "code": finding.path.partition("/")[0], "fault": finding}
    return {"ok": True, **msgspec.to_builtins(finding)}


def _print_finding(finding: Finding) -> None:
    if isinstance(finding, HistoryFault):
        position = "none in particular" if finding.position is None else str(finding.position)
        lines = [
            f"{finding.path.partition('/')[0]}  WRONG",
            f"  what      {finding.code}",
            f"  file      {finding.path}",
        ]
        lines += [f"  position  {position}", f"  expected  {finding.expected}", f"  found     {finding.found}"]
    else:
        receipts = (
            f"{finding.receipts}, {'checked' if finding.receipts_checked else 'NOT CHECKED: their key is missing'}"
        )
        lines = [f"{finding.code}  proven", f"  origin    {finding.origin}", f"  size      {finding.size}"]
        lines += [
            f"  root      {finding.root}",
            f"  signed    {finding.checkpoints} checkpoints",
            f"  receipts  {receipts}",
        ]
        if finding.known_as_of is not None:
            lines.append(f"  held by the federation as of {finding.known_as_of.isoformat()}")
        lines += [f"  was quarantined for the evidence {one}" for one in finding.evidence]
        if finding.unknown_events:
            lines.append(f"  {finding.unknown_events} entries of types that this version does not know")
    sys.stdout.write("\n".join(lines) + "\n")


def _print_checked(checked: Checked) -> None:
    lines = [f"origin    {checked.origin}", f"position  {checked.position}", f"type      {checked.type}"]
    lines += [f"subject   {checked.subject or '(the whole log)'}", f"covered   by a checkpoint of size {checked.size}"]
    if checked.known_at is not None:
        lines.append(f"held by the federation as of {checked.known_at.isoformat()}")
    lines.append(bytes(checked.event).decode())
    sys.stdout.write("\n".join(lines) + "\n")
