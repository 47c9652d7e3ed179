"""The `tomoni` command: one tree of commands, each loaded only when it is called."""

import sys

from cyclopts import App

from tomoni.settings import SettingsError

app = App(
    name="tomoni",
    help="Tomoni: a partnership certificate sworn in one town, honoured in the next.",
    version_flags=["--version"],
)
app.command("tomoni_cli.jurisdictions:app", name="jurisdictions")
app.command("tomoni_cli.log:app", name="log")
app.command("tomoni_cli.hub:app", name="hub")
app.command("tomoni_cli.registry:app", name="registry")
app.command("tomoni_cli.federation:app", name="federation")
app.command("tomoni_cli.token:app", name="token")
app.command("tomoni_cli.demo:app", name="demo")
app.command("tomoni_cli.bench:app", name="bench")


def main() -> None:
    """Run the command line; settings that are wrong are told plainly, with status 2."""
    try:
        app()
    except SettingsError as error:
        print(f"tomoni: {error}", file=sys.stderr)  # noqa: T201  # the command line talks to people
        sys.exit(2)


if __name__ == "__main__":
    main()
