"""Rows of `watch`: documents registered, and the way from a change's commit to whoever follows the watch.

The federation is in a process of its own (`watch_parts`); this one is all the followers, over a connection each.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import msgspec

from tomoni.auth import TokenIssuer
from tomoni.documents import document_hash, new_handle
from tomoni.loopback import NOBODY
from tomoni.processes import die_with_parent, free_port
from tomoni_cli.bench import documents, load
from tomoni_cli.bench.documents import WATCHED_TOWN
from tomoni_cli.bench.followers import Arrivals, follow
from tomoni_cli.bench.pace import p99
from tomoni_cli.bench.rows import Row, compare, median_row
from tomoni_cli.bench.samples import FEDERATION
from tomoni_cli.bench.server import ISSUER, is_listening
from tomoni_cli.bench.visible_parts import read_step
from tomoni_cli.bench.watch_parts import PER_SECOND, Parts
from tomoni_federation.watches.api import WatchAnswer, WatchedDocument, WatchedDocuments

FOLLOWERS: Final = 50
WATCHED: Final = 10_000
"""Documents that are watched, shared out between the followers; the others are there to be searched among."""
CHANGES: Final = 250
"""Changes of a round: five seconds."""
ROUNDS: Final = 3
LOST_SECONDS: Final = 60
REGISTERING_REACH: Final = 0.1
HEARING_REACH: Final = 0.05


class Desk(msgspec.Struct, frozen=True):
    """One follower: its token, its watch, and the documents in it by their numbers, which are their references."""

    token: str
    watch: str
    numbers: range


async def run(folder: Path, entries: int) -> list[Row]:
    """Load so many documents, issue and register some more, then end them one after the other and see who hears."""
    handles = tuple(new_handle() for _ in range(min(entries, WATCHED)))
    key = folder / "tokens.jwk"
    TokenIssuer.create(key)
    async with documents.loaded(folder.parent / documents.FOLDER, entries) as found:
        parts = Parts(
            owner=found.database.owner_dsn,
            database=found.database.runner_dsn,
            token_key=str(key),
            port=free_port(),
            bare_port=free_port(),
            handles=handles,
        )
        async with _running(folder, parts) as child:
            desks = await _make_watches(TokenIssuer(key, ISSUER), parts)
            registering = await _registering(desks, parts)
            heard = await _hearing(desks, parts, child, min(CHANGES, len(handles) // ROUNDS))
    return [registering, heard]


async def _make_watches(issuer: TokenIssuer, parts: Parts) -> list[Desk]:
    desks: list[Desk] = []
    count = min(FOLLOWERS, len(parts.handles))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{parts.port}", trust_env=False, verify=NOBODY) as http:
        for number in range(count):
            token = issuer.issue(f"desk-{number}", ["verifier"], FEDERATION)
            headers = {"Authorization": f"Bearer {token}"}
            answer = await http.post("/v1/watches", json={"name": "bench"}, headers=headers)
            made = msgspec.json.decode(answer.raise_for_status().content, type=WatchAnswer)
            desks.append(Desk(token, str(made.id), range(number, len(parts.handles), count)))
    return desks


async def _registering(desks: Sequence[Desk], parts: Parts) -> Row:
    """Register the documents, a request for each watch, one after the other."""
    shares = [desks[start::ROUNDS] for start in range(ROUNDS)]
    for_us, for_limit = iter(shares), iter(shares)
    connection = await asyncpg.connect(parts.owner)
    await connection.execute("CREATE TABLE bare_watched (LIKE watch.document INCLUDING ALL)")

    async def ours() -> float:
        share = next(for_us)
        requests = [_registration(desk, parts.handles) for desk in share]
        return _documents_of(share) / await load.send_all(parts.port, requests, 1, b'"watched":true')

    async def limit() -> float:
        share = next(for_limit)
        rows = [_rows(desk, parts.handles) for desk in share]
        started = time.perf_counter()
        for columns in rows:
            await connection.execute(_BARE, *columns)
        return _documents_of(share) / (time.perf_counter() - started)

    try:
        name = f"watch {len(parts.handles):,} more documents"
        return await compare(name, ours, limit, reach=REGISTERING_REACH, unit="documents/s", rounds=ROUNDS)
    finally:
        await connection.close()


_BARE: Final = """
INSERT INTO bare_watched (watch, reference, log, document, certificate, told, last)
SELECT $1, w.reference, w.log, w.document, d.certificate, 'valid', w.n
FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS w (reference, log, document, n)
JOIN projection.document d USING (log, document)
JOIN projection.certificate c USING (log, certificate)
"""


def _documents_of(desks: Sequence[Desk]) -> int:
    return sum(len(desk.numbers) for desk in desks)


def _registration(desk: Desk, handles: Sequence[str]) -> bytes:
    named = tuple(
        WatchedDocument(issuer=WATCHED_TOWN, handle=handles[number], reference=str(number)) for number in desk.numbers
    )
    body = msgspec.json.encode(WatchedDocuments(documents=named))
    return load.request(f"/v1/watches/{desk.watch}/documents", body, desk.token)


def _rows(desk: Desk, handles: Sequence[str]) -> tuple[object, ...]:
    hashes = [bytes.fromhex(document_hash(WATCHED_TOWN, handles[number])) for number in desk.numbers]
    return desk.watch, [str(number) for number in desk.numbers], [WATCHED_TOWN] * len(hashes), hashes


async def _hearing(desks: Sequence[Desk], parts: Parts, child: asyncio.subprocess.Process, count: int) -> Row:
    """Follow every watch and the bare feed, and measure both in turn."""
    paths = [(f"/v1/watches/{desk.watch}/changes?after={len(desk.numbers)}", desk.token) for desk in desks]
    ours, bare = Arrivals(), Arrivals()
    followers = await follow(parts.port, paths, ours) + await follow(parts.bare_port, paths, bare)
    try:
        pairs = [
            (await _waits(child, "ours", ours, count), await _waits(child, "bare", bare, count)) for _ in range(ROUNDS)
        ]
    finally:
        for follower in followers:
            follower.close()
    name = f"change to {len(desks)} followers, p99 at {PER_SECOND}/s"
    return median_row(name, pairs, reach=HEARING_REACH, unit="ms", less_is_better=True)


async def _waits(child: asyncio.subprocess.Process, kind: str, arrivals: Arrivals, count: int) -> float:
    """Have so many changes made; return the 99th percentile of what it took from commit to arrival, in ms."""
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the benchmark's process has no input or output")
    first = len(arrivals.at)
    child.stdin.write(f"{kind} {count}\n".encode())
    committed = [read_step(await child.stdout.readuntil()).at for _ in range(count)]
    async with asyncio.timeout(LOST_SECONDS):
        await arrivals.wait(first + count)
    return p99([arrivals.at[first + number] - at for number, at in enumerate(committed)])


@asynccontextmanager
async def _running(folder: Path, parts: Parts) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run the federation's process; end it afterwards."""
    file = folder / "parts.json"
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(parts))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tomoni_cli.bench.watch_parts", str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    try:
        async with asyncio.timeout(LOST_SECONDS):
            while not await is_listening(parts.port):
                if child.returncode is not None:
                    raise RuntimeError("the benchmark's process ended at its start")
                await asyncio.sleep(0.05)
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
