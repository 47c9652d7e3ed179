"""Databases that answer and cannot write, as a real server says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from tomoni_cli.embedded.postgres import EmbeddedPostgres

_CUT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"


@contextmanager
def read_only(postgres: EmbeddedPostgres, name: str) -> Iterator[None]:
    """Set a database to read only for sessions that begin now, and end the others. Sessions outlive the mending."""
    postgres.run_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    postgres.run_sql(_CUT.format(name=name))
    yield
    postgres.run_sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')


@contextmanager
def full_disk(postgres: EmbeddedPostgres, name: str) -> Iterator[None]:
    """Let every row of a database that is inserted or updated fail as it does on a full disk, over the real wire."""
    postgres.run_sql(_BREAK, name)
    yield
    postgres.run_sql(_MEND, name)


_BREAK = """
CREATE FUNCTION public.disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END
$$;
DO $$
DECLARE one regclass;
BEGIN
    FOR one IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    LOOP
        EXECUTE format('CREATE TRIGGER a_full_disk BEFORE INSERT OR UPDATE ON %s'
            ' FOR EACH ROW EXECUTE FUNCTION public.disk_is_full()', one);
    END LOOP;
END
$$;
"""
_MEND = "DROP FUNCTION public.disk_is_full() CASCADE"
