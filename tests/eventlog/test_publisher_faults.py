"""What others see while a log is signed. What a fault at any step leaves behind is in `tests/faults`."""

from pathlib import Path

from tests.eventlog.making import grow
from tests.eventlog.test_publisher import COSIGNER, ORIGIN, SIGNER
from tomoni.database import Pool
from tomoni.eventlog import CheckpointPublisher, FixedKeys, LastWord, Sequencer
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


async def test_a_checkpoint_is_visible_to_others_only_after_its_last_word(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, pool: Pool, sequencer: Sequencer, tmp_path: Path
) -> None:
    visible: list[str] = []

    class WatchedWord(LastWord):
        def swap(self, expected: bytes | None, note: bytes) -> None:
            visible.append(postgres.run_sql("SELECT max(size) FROM log.checkpoint", log_database.name))
            super().swap(expected, note)

    publisher = CheckpointPublisher(pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, WatchedWord(tmp_path / "last-word"))
    await publisher.check()
    await grow(sequencer, 2_500)
    await publisher.publish()
    assert visible == ["", "999", "1998"]
