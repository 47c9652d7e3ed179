"""The benchmark through its command, at sizes too small to say anything about speed."""

import contextlib
import gc
import os
import subprocess
import sys
import uuid

import msgspec
import psutil
import pytest

from tomoni_cli.bench import verify
from tomoni_cli.bench.command import MODULES, as_table
from tomoni_cli.bench.rows import Row, compare, median_row

REACH = {
    "append": {"append, durable": 1.0},
    "relay": {"relay publish, sync always": 0.7},
    "verify": {"verify a log": 0.5},
    "intake": {"intake: receive, prove, project": 0.35, "commit to visible, p99 at 100/s": 0.33},
    "rebuild": {"rebuild from the mirror": 0.35, "the same by eventsourcing": None},
    "status": {"status, 32 connections": 0.6},
    "batch": {"status of 120 documents in one request": 0.5, "recognition of 120 documents in one request": 0.25},
    "watch": {"watch 120 more documents": 0.1, "change to 50 followers, p99 at 50/s": 0.05},
    "memory": {"memory of the federation, 1,788 logs, 120 documents": 1.0},
}
"""What each name measures, and the ratio of the design's §11."""


def bench(*arguments):
    """Run the command; nothing that it started may run on after it."""
    marker = f"bench-of-{uuid.uuid4()}"
    environment = {**os.environ, "TOMONI_TEST_MARKER": marker}
    command = [sys.executable, "-m", "tomoni_cli.main", "bench", *arguments]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, timeout=200, check=False)
    assert not [process.pid for process in psutil.process_iter() if _has(process, marker)]
    return done


def _has(process, marker):
    with contextlib.suppress(psutil.Error):
        return process.environ().get("TOMONI_TEST_MARKER") == marker
    return False


RUNS = [["append"], ["relay"], ["verify"], ["intake"], ["rebuild"], ["status", "batch", "watch", "memory"]]


@pytest.mark.parametrize("names", RUNS, ids=" ".join)
def test_each_name_prints_its_rows_with_a_limit_of_the_same_run_and_leaves_nothing_running(names):
    done = bench(*names, "--entries", "120", "--json")
    assert done.returncode == 0, done.stderr
    rows = msgspec.json.decode(done.stdout, type=list[Row])
    assert [(row.name, row.reach) for row in rows] == [row for name in names for row in REACH[name].items()]
    for row in rows:
        assert row.value > 0
        assert row.limit > 0
        better = row.limit / row.value if row.unit in {"ms", "MB"} else row.value / row.limit
        assert row.ratio == pytest.approx(better)
    assert done.stderr.splitlines() == [f"measuring {name} …" for name in names]


def test_every_name_has_been_run():
    assert sorted(name for names in RUNS for name in names) == sorted(MODULES)


def test_a_name_that_is_said_twice_is_measured_once():
    done = bench("verify", "verify", "--entries", "60", "--json")
    assert [row["name"] for row in msgspec.json.decode(done.stdout)] == [*REACH["verify"]]
    assert set(msgspec.json.decode(done.stdout)[0]) == {"name", "value", "limit", "ratio", "reach", "unit"}


def test_for_people_it_is_a_table():
    done = bench("verify", "--entries", "300")
    assert done.returncode == 0
    assert "verify a log" in done.stdout
    assert "to reach" in done.stdout


def test_a_name_that_is_none_is_refused():
    done = bench("everything")
    assert done.returncode != 0
    assert "everything" in done.stdout + done.stderr


async def test_ours_and_the_limit_are_measured_in_turn_and_the_median_round_is_kept():
    ours, limits, order = iter([10.0, 90.0, 30.0]), iter([10.0, 10.0, 10.0]), []

    async def measure_ours():
        order.append("ours")
        return next(ours)

    async def measure_limit():
        order.append("limit")
        return next(limits)

    row = await compare("work", measure_ours, measure_limit, reach=0.5, unit="entries/s")
    assert order == ["ours", "limit"] * 3
    assert (row.value, row.limit, row.ratio) == (30.0, 10.0, 3.0)
    gc.unfreeze()


def test_the_ratio_is_of_one_round_and_not_of_the_best_of_each():
    row = median_row("work", [(100.0, 200.0), (50.0, 50.0), (80.0, 100.0)], reach=0.5, unit="entries/s")
    assert (row.value, row.limit, row.ratio) == (80.0, 100.0, 0.8)


async def test_a_log_of_many_portions_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "PORTION", 512)
    (row,) = await verify.run(tmp_path, 1_300)
    assert row.value > 0
    assert len({entry for portion in verify._portions(1_300) for entry in portion}) == 1_300
    gc.unfreeze()


def test_another_s_row_is_beside_and_reaches_nothing():
    rows = [Row(name="theirs", value=1, limit=10, ratio=0.1, reach=None, unit="entries/s")]
    cells = [cell for column in as_table(rows).columns for cell in column.cells]
    assert cells[-2:] == ["0.10", "–"]


def test_of_waiting_times_less_is_better():
    row = median_row("wait", [(4.0, 2.0), (3.0, 3.0), (9.0, 1.0)], reach=0.33, unit="ms", less_is_better=True)
    assert (row.value, row.limit, row.ratio) == (4.0, 2.0, 0.5)


def test_a_row_that_does_not_reach_is_shown_in_red():
    rows = [Row(name="slow", value=1, limit=10, ratio=0.1, reach=0.5, unit="entries/s")]
    cells = [cell for column in as_table(rows).columns for cell in column.cells]
    assert "[red]0.10[/]" in cells
