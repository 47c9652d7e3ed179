"""The interface description against the service: whatever it allows is answered as it says, and never with 5xx."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.federation.watching import served
from tomoni.auth import SCOPES

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ROOT = Path(__file__).parents[2]
EXAMPLES = 12
"""Requests made up for each operation, half of them against the description on purpose; bounded for every change."""


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_made_up_requests_are_answered_as_described(desk, shibuya, setagaya, tmp_path):
    shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    async with served(desk) as (http, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{http.base_url}/schema/openapi.json"),
            *("--checks", CHECKS, "--phases", "examples,fuzzing", "--max-examples", str(EXAMPLES), "--workers", "1"),
            *("--exclude-path-regex", "^/(health|metrics|schema)|/changes$", "--generation-deterministic"),
            *("--header", f"Authorization: Bearer {desk.token(*SCOPES, prefecture='13', jurisdiction='131130')}"),
            *("--no-color", "--warnings", "off", "--continue-on-failure"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.federation.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        )
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-6_000:]
    assert b"Tested:" in told or b"passed" in told
