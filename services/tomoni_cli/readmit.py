"""`tomoni federation readmit`: a town's history goes on, as the branch that counts."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from tomoni.admission import AdmissionRequest
from tomoni.settings import SettingsError
from tomoni_cli.asking import Federation, ask


def readmit(
    request: Annotated[Path, Parameter(help="The town's new admission request, a file.")],
    /,
    *,
    federation: Federation,
    from_size: Annotated[int | None, Parameter(help="The size with a receipt on which the history goes on.")] = None,
    branch_size: Annotated[int | None, Parameter(help="The size of a checkpoint of the history that counts.")] = None,
    branch_root: Annotated[str | None, Parameter(help="And its root, in hex, as verify-evidence prints both.")] = None,
) -> None:
    """Let a suspended or quarantined history go on, with keys proven anew; the token is of the secretariat's scope.

    Without a branch the history that the federation holds goes on, from where it stands still. Where the other of two
    counts, name it by a checkpoint of it, and the last size with a receipt on which both agree; nothing but that
    history is then accepted. The federation's own log says so. Status 3 means that it was refused, and says why.
    """
    if (branch_size is None) != (branch_root is None):
        raise SettingsError("a branch is named by both, --branch-size and --branch-root")
    try:
        asked = msgspec.json.decode(request.read_bytes(), type=AdmissionRequest)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{request} is no admission request: {type(error).__name__}") from error
    branch = None if branch_size is None or branch_root is None else (branch_size, branch_root)
    ask(federation, lambda client: client.readmit(asked, from_size=from_size, branch=branch))
    sys.stdout.write(f"{asked.code} is open.\n")
