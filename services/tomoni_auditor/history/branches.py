"""Which of two histories a log was readmitted with: its root at a size, as the federation's own log says.

Looked up in the tiles once they are proven, since no checkpoint of that size need be left in a folder.
"""

from collections.abc import Sequence

from tomoni.events.federation import Branch
from tomoni.tlog.merkle import subtree_root
from tomoni_auditor.archive.folder import CHECKPOINT, LogFolder
from tomoni_auditor.history.faults import HistoryFault, HistoryFaultError
from tomoni_auditor.proofs.making import hashes_in


def require_branches(folder: LogFolder, code: str, branches: Sequence[Branch]) -> None:
    """Raise HistoryFaultError where a proven log is none of the branches that count, as far as it goes."""
    head = folder.head()
    for branch in branches:
        if branch.size > head.size:
            continue
        root = subtree_root(0, branch.size, hashes_in(folder, branch.size)).hex()
        if root != branch.root:
            expected = f"the root {branch.root} at size {branch.size}: with it the federation has readmitted the log"
            fault = HistoryFault(
                code="admission",
                path=f"{code}/{CHECKPOINT}",
                position=branch.size,
                expected=expected,
                found=f"a log whose root is {root} there",
            )
            raise HistoryFaultError(fault)
