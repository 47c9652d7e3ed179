"""The server as a process: serving, draining on SIGTERM, failing plainly."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tomoni.loopback import NOBODY
from tomoni.processes import free_port

APP = Path(__file__).with_name("server_app.py")


def start(port: int, mode: str = "ready") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(APP), str(port), mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until_live(port: int) -> None:
    with httpx.Client(trust_env=False, verify=NOBODY) as http:
        for _ in range(200):
            try:
                if http.get(f"http://127.0.0.1:{port}/health/live").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
    raise AssertionError("the server did not come up")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = start(port, getattr(request, "param", "ready"))
    wait_until_live(port)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_before_the_process_ends(
    server: subprocess.Popen[str], port: int, number: signal.Signals
) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.get, f"http://127.0.0.1:{port}/slow")
        time.sleep(0.4)
        os.kill(server.pid, number)
        assert answer.result(timeout=10).text == "finished"
    out, _ = server.communicate(timeout=10)
    assert server.returncode == 0
    assert out.split() == ["started", "stopped"]


def test_a_server_leaves_no_memory_on_the_disk_when_it_crashes(server: subprocess.Popen[str]) -> None:
    """Keys that sign and open the vault are in it."""
    assert psutil.Process(server.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_a_thousand_connections_that_ask_nothing_keep_nobody_out(server: subprocess.Popen[str], port: int) -> None:
    """They need no token: the head of their request is never whole."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4_096), hard), hard))
    with ExitStack() as held:
        for _ in range(1_200):
            holder = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            holder.sendall(b"GET /health/live HTTP/1.1\r\n")
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=20).status_code == 200


def test_health_says_ready_when_every_check_passes(server: subprocess.Popen[str], port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"good": "ok"})
    assert "python_info" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert server.poll() is None


@pytest.mark.parametrize("server", ["not-ready"], indirect=True)
def test_health_names_the_function_that_fails(server: subprocess.Popen[str], port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"good": "ok", "bad": "failing"})
    server.terminate()
    _, errors = server.communicate(timeout=10)
    assert "secret detail" not in errors


def test_a_taken_port_is_an_error_and_not_a_share(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        out, errors = start(port).communicate(timeout=20)
    assert "Address already in use" in errors
    assert out == ""


def test_a_start_that_fails_ends_the_process(port: int) -> None:
    process = start(port, "failing-start")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "cannot start" in errors
