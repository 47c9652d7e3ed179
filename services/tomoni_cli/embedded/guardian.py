"""Run one server for a parent process and end it when the parent is gone, however the parent died.

Run as a script of its own, by the interpreter alone (`python -I -S guardian.py …`), so it imports the standard library
only. It watches two signs, because each can fail alone: its standard input reaches its end (a forked sibling may keep
the other end of the pipe open), and its parent's process id changes. Should the guardian itself be killed, Linux
sends the server the same signal (PR_SET_PDEATHSIG).
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server, print its process id on a line, watch, and return its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="process id whose end ends the server")
    parser.add_argument("--uid", type=int, help="user the server runs as; only root may set it")
    parser.add_argument("--gid", type=int)
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between the stop signal and the kill")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)  # Ctrl-C in a terminal is for the parent, which then stops us
    server = subprocess.Popen(  # noqa: S603  # the command comes from the parent's own code
        options.command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        user=options.uid,
        group=options.gid,
        extra_groups=None if options.uid is None else [],
        preexec_fn=_die_with_guardian(options.stop_signal),  # noqa: PLW1509  # this process has one thread
        restore_signals=True,
    )
    terminated = False

    def terminate(*_: object) -> None:
        nonlocal terminated
        terminated = True

    signal.signal(signal.SIGTERM, terminate)
    with contextlib.suppress(BrokenPipeError):
        print(server.pid, flush=True)  # noqa: T201  # the protocol with the parent
    while server.poll() is None and not terminated and os.getppid() == options.parent:
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], WATCH_SECONDS)
        if readable:
            break
    return _end(server, options.stop_signal, options.grace)


def _die_with_guardian(stop_signal: int) -> Callable[[], None]:
    """Return what the child runs between fork and exec, after its change of user (which would clear the setting)."""
    libc = ctypes.CDLL(None)
    prctl = getattr(libc, "prctl", None)  # Linux only; elsewhere the pipe and the parent's id must do
    ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

    def before_exec() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)

    return before_exec


def _end(server: "subprocess.Popen[bytes]", stop_signal: int, grace: float) -> int:
    deadline = time.monotonic() + grace
    if server.poll() is None:
        server.send_signal(stop_signal)
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if server.poll() is None:
        server.kill()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
