"""The load generator: it counts nothing that was not answered as expected, however the answers come."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tomoni_cli.bench import load

GOOD = b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"status":"valid"}'


@asynccontextmanager
async def answering(*answers):
    """Answer each request of all connections with the next answer, given in pieces; give the port and the requests."""
    waiting, requests = iter(answers), []

    async def serve(reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            requests.append(head + await reader.readexactly(3))
            for piece in next(waiting):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], requests


def asking(count):
    return [load.request("/v1/status", b"%03d" % number, None) for number in range(count)]


async def test_each_request_is_sent_once_and_its_answer_awaited():
    async with answering(*[(GOOD,)] * 6) as (port, requests):
        assert await load.send_all(port, asking(6), 2, b'"valid"') > 0
    assert sorted(requests) == asking(6)


async def test_an_answer_in_pieces_is_one_answer():
    pieces = (GOOD[:10], GOOD[10:45], GOOD[45:])
    async with answering((GOOD,), pieces, (GOOD,)) as (port, requests):
        await load.send_all(port, asking(3), 1, b'"valid"')
    assert requests == asking(3)


@pytest.mark.parametrize(
    "bad",
    [
        b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"status":"unknown"}',
        b'HTTP/1.1 429 Too Many\r\ncontent-length: 18\r\n\r\n{"status":"valid"}',
    ],
)
async def test_another_answer_after_a_good_one_is_noticed(bad):
    async with answering((GOOD,), (bad,)) as (port, _):
        with pytest.raises(RuntimeError, match="not as expected"):
            await load.send_all(port, asking(2), 1, b'"valid"')


async def test_a_connection_that_is_cut_is_an_error():
    async def cut(_, writer):
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionError):
            await load.send_all(server.sockets[0].getsockname()[1], asking(1), 1, b"")
