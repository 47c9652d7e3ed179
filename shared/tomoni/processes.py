"""What a process needs that starts others: free ports, and children that do not outlive it."""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_OTHER_FILES = 1_024


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now, and that the system gives to nobody else for a minute.

    A connection over it that ended here leaves it in TIME_WAIT: whoever names the port may still listen on it
    (SO_REUSEADDR), and whoever asks for any port gets another.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe, socket.socket(family) as caller:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        probe.listen(1)
        port: int = probe.getsockname()[1]
        caller.connect((host, port))
        accepted, _ = probe.accept()
        accepted.close()  # first: TIME_WAIT stays with the end that closes first
        caller.recv(1)
    return port


if sys.platform == "win32":

    def leave_no_core() -> None:
        """Do nothing: here a process leaves none."""

    def allow_connections(most: int) -> None:
        """Do nothing: here connections are no files."""

else:
    from resource import RLIMIT_CORE, RLIMIT_NOFILE, getrlimit, setrlimit

    def allow_connections(most: int) -> None:
        """Raise the number of files that this process may open to some connections more, as far as the system lets it.

        Many systems begin at 1,024, for programs that nobody connects to.
        """
        soft, hard = getrlimit(RLIMIT_NOFILE)
        setrlimit(RLIMIT_NOFILE, (min(max(soft, most + _OTHER_FILES), hard), hard))

    def leave_no_core() -> None:
        """Keep this process and those it starts from leaving their memory on the disk in a crash: keys are in it."""
        setrlimit(RLIMIT_CORE, (0, 0))


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs between fork and exec: on Linux it asks for a signal when its parent ends.

    An orphan would hold port and store, and serve with a configuration that nobody reloads any more.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return before_exec
