"""The demonstration through its command: the whole tour, then up until Ctrl-C, leaving no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import SHIBUYA

START = """
import sys, time
from pathlib import Path
from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import SHIBUYA
with System(Path(sys.argv[1]), [SHIBUYA]):
    print("up", flush=True)
    time.sleep(600)
"""


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of the processes that name a folder."""
    found: list[str] = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line and process.info["pid"] != os.getpid():
            found.append(line)
    return found


def wait_until_none(folder: Path) -> None:
    for _ in range(300):
        if not processes_of(folder):
            return
        time.sleep(0.1)
    pytest.fail(f"left behind: {processes_of(folder)}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tour_is_as_told_and_ctrl_c_leaves_no_process(folder: Path) -> None:
    command = [sys.executable, "-m", "tomoni_cli.main", "demo", "--folder", str(folder / "demo")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    told = ""
    for line in demo.stdout:
        told += line
        if "The system stays up" in told:
            demo.send_signal(signal.SIGINT)  # an impatient person: from the first address on, again and again
    assert demo.wait(60) == 0, told
    assert told.count("Stop with Ctrl-C") == 1
    assert "Every step was as it should be." in told
    assert "Everything is stopped." in told
    wait_until_none(folder)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_demonstration_takes_its_processes_along_and_starts_again(folder: Path) -> None:
    demo = subprocess.Popen([sys.executable, "-c", START, str(folder / "demo")], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    assert demo.stdout.readline() == "up\n"
    assert len(processes_of(folder)) > 5
    demo.kill()
    demo.communicate()
    wait_until_none(folder)
    with System(folder / "demo", [SHIBUYA]) as system:
        secretariat = system.federation_api("secretariat")
        assert secretariat.get("/v1/jurisdictions")["jurisdictions"] == []
        secretariat.close()
