"""`tomoni audit replay`, `diff` and `timeline`: what a history in a folder comes to, compared and drawn."""

import sys
from collections.abc import Callable, Iterable, Sequence
from csv import writer
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console

from tomoni import times
from tomoni.history.rows import TABLES, Line
from tomoni.settings import SettingsError
from tomoni_auditor.archive.federation import FederationLog
from tomoni_auditor.archive.folder import FEDERATION, LogFolder, logs_in
from tomoni_auditor.compare.comparing import Comparison, compare
from tomoni_auditor.compare.live import open_live
from tomoni_auditor.replay.moments import last_instant, size_on
from tomoni_auditor.replay.replaying import Replayed, replayed
from tomoni_auditor.replay.state import Counts
from tomoni_auditor.timeline.life import certificate_life, issuer_life
from tomoni_auditor.timeline.page import certificate_page, issuer_page
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.asking import NO, UNKNOWN, Federation, print_json, print_table
from tomoni_cli.audit import Folder, Json, ending, progress

Form = Literal["table", "json", "csv"]

Codes = Annotated[
    list[str] | None, Parameter(negative=(), help="A jurisdiction; may be repeated. Left out: all that are there.")
]
Certificate = Annotated[str | None, Parameter(help="Identity of one certificate of the jurisdiction named.")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a log stood."""

    log: str
    standing: str | None
    """By the federation's own log at the time: open, suspended or quarantined; None where it is not told."""
    size: int
    """Entries replayed."""
    of: int
    """Entries in the folder."""
    stopped_at: int | None
    stopped_why: str | None
    counts: Counts


def replay(
    folder: Folder,
    /,
    *,
    to: Annotated[str | None, Parameter(help="A day (2026-11-23), or with one --code a number of entries.")] = None,
    code: Codes = None,
    certificate: Certificate = None,
    json: Annotated[bool, Parameter(negative=(), help="Print every row as a line of JSON.")] = False,
    csv: Annotated[bool, Parameter(negative=(), help="Print every certificate as a line of CSV.")] = False,
) -> None:
    """Print the state of one certificate, an issuer or everything, as it was at a day or a position.

    A day means what the federation had given a receipt for before the day ended in Japan. For people it prints counts,
    of one log also what it has declared; --json and --csv print rows as they are read, however many. The entries are
    proven to be those under the folder's checkpoint; whose checkpoint that is, `tomoni audit verify` tells. Status 1
    means that a log stopped at an entry; 2, that the folder does not say what is asked.
    """
    if json and csv:
        raise SettingsError("name one of --json and --csv")
    if certificate is not None and len(code or ()) != 1:
        raise SettingsError("name the jurisdiction of the certificate by one --code")
    form: Form = "csv" if csv else "json" if json else "table"
    summaries: list[Summary] = []
    with ending(), progress("replaying") as show:
        day, size = _moment(to, alone=len(code or ()) == 1)
        codes = _codes(folder, code)
        standing = _standing(folder, day, told=size is None)
        if form == "csv":
            writer(sys.stdout).writerow(["log", *TABLES["certificate"].names])
        for each in codes:
            log = LogFolder(folder / each)
            wanted = size_on(log, each, day) if day is not None else size
            with replayed(log, each, wanted, partial(show, each)) as own:
                summaries.append(_summary(own, standing(each), day or times.day_in_japan(times.now())))
                _print_state(own, summaries[-1], certificate, form)
                if form == "table" and len(codes) == 1 and certificate is None:
                    _print_summaries(summaries)
                    _print_declared(own)
    if form == "table" and len(codes) > 1:
        _print_summaries(summaries)
    sys.exit(NO if any(one.stopped_at is not None for one in summaries) else 0)


def _codes(folder: Path, named: Sequence[str] | None) -> list[str]:
    """Return the logs to look at: those named, or all of jurisdictions that are there; raise SourceError."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    found = [each for each in logs_in(folder) if each != FEDERATION]
    missing = sorted(set(named or ()) - set(found))
    if missing or not found:
        raise SourceError(f"{folder} holds no log of {', '.join(missing) or 'any jurisdiction'}: fetch it first")
    return [each for each in found if not named or each in named]


def _moment(to: str | None, *, alone: bool) -> tuple[date | None, int | None]:
    if to is None:
        return None, None
    if to.isdecimal():
        if not alone:
            raise SettingsError("a number of entries is one log's: name it by one --code, or give a day")
        return None, int(to)
    try:
        return date.fromisoformat(to), None
    except ValueError:
        raise SettingsError("--to is a day such as 2026-11-23, or a number of entries") from None


def _standing(folder: Path, day: date | None, *, told: bool) -> Callable[[str], str | None]:
    """Return what tells how a jurisdiction stood at the end of a day, by the federation's own log if it is there.

    A position has no time, so nothing is `told` for one.
    """
    federation = FederationLog(folder) if told and (folder / FEDERATION).is_dir() else None
    at = times.now() if day is None else last_instant(day)
    return lambda code: None if federation is None else federation.admission(code, at).state


def _summary(own: Replayed, standing: str | None, on: date) -> Summary:
    return Summary(
        log=own.code,
        standing=standing,
        size=own.size,
        of=own.checkpoint.size,
        stopped_at=None if own.fault is None else own.fault.position,
        stopped_why=None if own.fault is None else own.fault.reason,
        counts=own.state.counts(on),
    )


def _print_state(own: Replayed, summary: Summary, certificate: str | None, form: Form) -> None:
    table = TABLES["certificate"]
    if certificate is not None:
        row = own.state.row(table, certificate)
        if row is None:
            raise SourceError(f"{own.code}: there is no certificate {certificate} at this point of the log")
        _print_rows(own, table.name, [row], form)
    elif form == "csv":
        _print_rows(own, table.name, own.state.rows(table), form)
    elif form == "json":
        for name in TABLES:
            _print_rows(own, name, own.state.rows(TABLES[name]), form)
        print_json(summary)


def _print_rows(own: Replayed, name: str, rows: Iterable[Line], form: Form) -> None:
    names = TABLES[name].names
    if form == "csv":
        lines = writer(sys.stdout)
        for row in rows:
            lines.writerow([own.code, *row])
    elif form == "json":
        for row in rows:
            print_json({"log": own.code, "table": name, **dict(zip(names, row, strict=True))})
    else:
        say = Console(soft_wrap=True, highlight=False, markup=False).print
        for row in rows:
            for column, value in (("log", own.code), *zip(names, row, strict=True)):
                say(f"{column:<17} {'' if value is None else value}")


def _print_declared(own: Replayed) -> None:
    """Print what one town has declared, for people: a log holds a bounded number of it."""
    say = Console(soft_wrap=True, highlight=False, markup=False).print
    for row in own.state.rows(TABLES["arrangement"]):
        one = dict(zip(TABLES["arrangement"].names, row, strict=True))
        issuers = one["network"] or one["prefecture"] or _listed(one["codes"])
        line = f"arrangement {one['arrangement']}: pattern {one['pattern']}, for {issuers}, {_listed(one['services'])}"
        until = f", until {one['effective_until']}" if one["effective_until"] else ""
        withdrawn = f", withdrawn on {one['withdrawn_on']}" if one["withdrawn_on"] else ""
        say(f"{line}, from {one['effective_from']}{until}{withdrawn}")
    for row in own.state.rows(TABLES["membership"]):
        one = dict(zip(TABLES["membership"].names, row, strict=True))
        word = "member" if one["member"] == "true" else "no member"
        say(f"network {one['network']}: {word} from {one['effective_on']}")


def _listed(texts: str | None) -> str:
    return ", ".join(msgspec.json.decode(texts or "[]", type=list[str]))


def _print_summaries(summaries: Sequence[Summary]) -> None:
    columns = ("log", "standing", "entries", "certificates", "ended", "documents", "declared")
    rows = [
        (
            one.log,
            one.standing,
            one.size,
            one.counts.certificates,
            one.counts.ended,
            one.counts.documents,
            one.counts.arrangements,
        )
        for one in summaries
    ]
    print_table(columns, rows)
    say = Console(soft_wrap=True, highlight=False, markup=False).print
    for one in summaries:
        if one.stopped_at is not None:
            say(f"{one.log} stopped at entry {one.stopped_at}: {one.stopped_why}")


def diff(folder: Folder, /, *, federation: Federation, code: Codes = None, json: Json = False) -> None:
    """Compare a live federation with a replay of the folder: equal, or the first difference of each log.

    Digests first; rows are asked for only where they differ. A token of the scope `auditor` is needed. Status 1 means
    that something differs; 3, that nothing does but something could not be compared; 2, that there is no answer.
    """
    with ending(), progress("replaying") as show, open_live(federation.url, federation.token()) as live:
        found = [compare(folder, each, live, partial(show, each)) for each in _codes(folder, code)]
    if json:
        print_json(found)
    else:
        for one in found:
            _print_comparison(one)
    outcomes = {one.outcome for one in found}
    sys.exit(NO if "different" in outcomes else UNKNOWN if "not-comparable" in outcomes else 0)


def _print_comparison(one: Comparison) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if one.outcome == "different":
        key = f", {one.key}" if one.key else ""
        console.print(f"{one.code}  DIFFERENT at {one.position} entries: {one.where}{key}")
        if one.columns:
            console.print(f"  in       {', '.join(one.columns)}")
        console.print(f"  replayed {one.expected}\n  live     {one.found}")
    elif one.outcome == "equal":
        console.print(f"{one.code}  equal at {one.position} entries")
    else:
        console.print(f"{one.code}  not compared: {one.found}")


def timeline(
    folder: Folder,
    code: Annotated[str, Parameter(help="The jurisdiction.")],
    /,
    *,
    certificate: Certificate = None,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="The file to write, `….html`.")],
) -> None:
    """Draw the life of an issuer, or of one of its certificates: one HTML file with a picture and tables.

    The file needs nothing from outside and runs nothing. It has what the log has, which is nobody's name and no handle.
    """
    with ending(), progress("reading") as show:
        (found,) = _codes(folder, [code])
        log = LogFolder(folder / found)
        if certificate is None:
            page = issuer_page(issuer_life(log, code, partial(show, code)))
        else:
            page = certificate_page(certificate_life(log, code, certificate, partial(show, code)))
        try:
            output.write_text(page, "utf-8")
        except OSError as error:
            raise SourceError(f"{output} cannot be written: {error.strerror}") from error
