"""The demonstration's own processes: each a `tomoni …` command with its log file, stopped in the reverse order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tomoni.loopback import NOBODY
from tomoni.processes import die_with_parent

STOP_SECONDS = 25
READY_SECONDS = 60


class ProcessError(Exception):
    """A process of the demonstration did not start or stop as it should; the text names its log."""


class Process:
    """One long-running `tomoni` command. `url` is where its HTTP answers; `settings` go into its environment."""

    def __init__(self, name: str, arguments: Sequence[str], url: str, log: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.url = url
        self.log = log
        self._settings = settings
        self._arguments = [sys.executable, "-m", "tomoni_cli.main", *arguments]
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and return at once; `wait_ready` waits for it."""
        if self._child is not None and self._child.poll() is None:
            raise ProcessError(f"{self.name} is running already")
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603  # our own command
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._settings},
                start_new_session=True,  # Ctrl-C in the terminal is for us, who stop the others in order
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # no thread of ours runs when processes are started
            )

    def wait_ready(self, path: str = "/health/ready") -> None:
        """Return when the process answers that it is ready; raise ProcessError where it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(timeout=6, trust_env=False, verify=NOBODY) as http:
            while time.monotonic() < deadline:
                if self._child is None or self._child.poll() is not None:
                    raise ProcessError(f"{self.name} ended at its start; see {self.log}")
                with contextlib.suppress(httpx.TransportError):
                    if http.get(self.url + path).status_code == 200:
                        return
                time.sleep(0.05)
        raise ProcessError(f"{self.name} did not become ready in {READY_SECONDS} s; see {self.log}")

    def stop(self) -> None:
        """Stop the process as an operator would (SIGTERM); by force where it does not end."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise ProcessError(f"{self.name} did not stop in {STOP_SECONDS} s and was killed; see {self.log}") from None
        finally:
            self._child = None

    def kill(self) -> None:
        """Kill the process with -9, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._child is None else self._child.pid
