"""A log holds as many arrangements as it may and not one more, however many are declared at once."""

import asyncio
import uuid

import msgspec

from tests.registry.conftest import NOON
from tomoni.database import create_pool
from tomoni.eventlog import Append, NewEntry, Sequencer
from tomoni.events import encode_event
from tomoni.events.jurisdiction import ArrangementDeclared
from tomoni.times import format_time
from tomoni_registry.arrangements.api import DECLARE, PREFIX
from tomoni_registry.arrangements.decider import MAX_ARRANGEMENTS

FREE, DECLARED_AT_ONCE = 6, 20
BODY = msgspec.to_builtins(DECLARE) | {"issuers": {"codes": ["131121"]}}


async def fill(node):
    """Declare arrangements, as streams of names of their own, until few more are allowed."""
    entries = []
    for _ in range(MAX_ARRANGEMENTS - FREE):
        subject = PREFIX + str(uuid.uuid4())
        event = ArrangementDeclared(
            id=str(uuid.uuid4()),
            source=node.settings.origin,
            subject=subject,
            time=format_time(NOON),
            data=DECLARE.terms(),
        )
        entries.append(NewEntry(encode_event(event), subject, 1))
    pool = await create_pool(node.settings.database)
    async with Sequencer(pool) as sequencer:
        await sequencer.append(Append(uuid.uuid4(), tuple(entries), {entry.subject: 0 for entry in entries}))
    await pool.close()


async def test_of_many_declared_at_once_in_two_processes_exactly_those_that_fit_are_taken(node):
    await fill(node)
    other = type(node)(node.files, node.owner_dsn)
    await other.start()
    try:
        answers = await asyncio.gather(
            *(one.post("/v1/arrangements", BODY) for one in (node, other) for _ in range(DECLARED_AT_ONCE))
        )
    finally:
        await other.stop()
    taken = [answer.json()["arrangement"] for answer in answers if answer.status_code == 201]
    refused = {answer.json()["type"].rpartition("/")[2] for answer in answers if answer.status_code != 201}
    assert (len(taken), len(set(taken)), refused) == (FREE, FREE, {"too-many-arrangements"})
    answer = await node.get("/v1/arrangements")
    assert answer.status_code == 200, answer.text
    listed = answer.json()["arrangements"]
    assert len(listed) == MAX_ARRANGEMENTS
    assert set(taken) <= {one["arrangement"] for one in listed}


async def test_many_declared_at_once_are_all_taken_while_there_is_room(node):
    answers = await asyncio.gather(*(node.post("/v1/arrangements", BODY) for _ in range(DECLARED_AT_ONCE)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["arrangement"] for answer in answers}) == DECLARED_AT_ONCE
