"""`tomoni statistics`: what a prefecture may know of its issuers."""

from datetime import date
from typing import Annotated

from cyclopts import App, Parameter

from tomoni_cli.asking import Federation, ask, print_json, print_table

app = App(name="statistics", help="Show the published counts of a prefecture.")

Prefecture = Annotated[str | None, Parameter(help="Two digits; an aggregator's own by default.")]


@app.default
def statistics(
    *,
    federation: Federation,
    prefecture: Prefecture = None,
    on: Annotated[date | None, Parameter(help="Months that are over on this day; today by default.")] = None,
    json: Annotated[bool, Parameter(negative=(), help="Print JSON.")] = False,
) -> None:
    """Show what was published: at least so many. A count that is not shown is too small, and may be none."""
    found = ask(federation, lambda client: client.statistics(prefecture, on=on))
    if json:
        print_json(found)
        return
    rows = [(one.area, one.span, one.closes_on, one.kind or "all", one.measure, one.at_least) for one in found.rows]
    missing = [(one.code, "", found.as_of, "", "missing", "") for one in found.issuers if one.state == "missing"]
    print_table(("area", "span", "until", "kind", "measure", "at least"), rows + missing)


@app.command
def completeness(
    *,
    federation: Federation,
    prefecture: Prefecture = None,
    json: Annotated[bool, Parameter(negative=(), help="Print a JSON array.")] = False,
) -> None:
    """Show of each jurisdiction whether what is known of it is complete."""
    found = ask(federation, lambda client: client.completeness(prefecture))
    if json:
        print_json(found)
    else:
        rows = [(one.code, one.name, one.romaji, one.state, one.fresh_as_of) for one in found]
        print_table(("code", "name", "", "state", "as of"), rows)
