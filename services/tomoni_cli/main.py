"""The `tomoni` command: one tree of commands, each loaded only when it is called."""

import sys
from importlib import metadata

from cyclopts import App

from tomoni.settings import SettingsError

app = App(
    name="tomoni",
    help="Tomoni: a partnership certificate sworn in one town, honoured in the next.",
    version=lambda: metadata.version("tomoni"),
    version_flags=["--version"],
)
for _name, _help in (
    ("demo", "Run a federation and five towns on this machine, and take a tour."),
    ("registry", "Make and run a town's registry node and its relay."),
    ("federation", "Make and run the federation's service; verify its mirror."),
    ("hub", "Make and run the hub, which carries messages."),
    ("status", "Ask whether documents are valid."),
    ("recognise", "Ask whether documents count at a receiver for a service, and why."),
    ("watch", "Watch documents, and follow what becomes of them."),
    ("statistics", "Show the published counts of a prefecture, and how complete they are."),
    ("token", "Issue a token of a service's embedded issuer."),
    ("statement", "Check signed statements of a federation, offline."),
    ("log", "Verify transparency logs, ours or another's."),
    ("audit", "Take a jurisdiction's history, prove it, and trust nobody."),
    ("jurisdictions", "Look up the jurisdictions of Japan."),
    ("bench", "Measure speed against limits taken in the same run."),
):
    app.command(f"tomoni_cli.{_name}:app", name=_name, help=_help)


def main() -> None:
    """Run the command line; settings that are wrong are told plainly, with status 2."""
    try:
        app()
    except SettingsError as error:
        print(f"tomoni: {error}", file=sys.stderr)  # noqa: T201  # the command line talks to people
        sys.exit(2)


if __name__ == "__main__":
    main()
