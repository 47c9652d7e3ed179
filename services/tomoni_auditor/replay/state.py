"""The state that the entries of one log make, in a temporary file: a log of ten million entries takes no more memory.

The rows are those of `tomoni.history.rows`. The file is SQLite's own temporary database: it is on the disk only once
it is larger than the cache, nobody else can open it, and it is gone with the process.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from tomoni.history.certificates import CertificateRow, as_row
from tomoni.history.fold import Changes, Prior, Stream
from tomoni.history.rows import TABLES, Line, Table, text_of

_CACHE_KIB: Final = 64_000
_MOST_NAMED: Final = 500
"""Keys in one statement."""

_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE certificate (
    certificate TEXT PRIMARY KEY, version INTEGER, kind TEXT, document BLOB, certified_on TEXT, conditional_until TEXT,
    confirmed_on TEXT, effect TEXT, effective_on TEXT, "unknown" INTEGER, first_position INTEGER,
    last_position INTEGER);
CREATE TABLE document (document BLOB PRIMARY KEY, certificate TEXT) WITHOUT ROWID;
CREATE TABLE arrangement (
    arrangement TEXT PRIMARY KEY, pattern TEXT, codes TEXT, prefecture TEXT, network TEXT, kinds TEXT, services TEXT,
    effective_from TEXT, effective_until TEXT, conditions TEXT, precedence INTEGER, keeps_recognised INTEGER,
    position INTEGER, withdrawn_on TEXT, withdrawn_position INTEGER);
CREATE TABLE membership (position INTEGER PRIMARY KEY, network TEXT, member INTEGER, effective_on TEXT);
CREATE TABLE stream (subject TEXT PRIMARY KEY, version INTEGER, "unknown" INTEGER) WITHOUT ROWID;
CREATE TABLE position (
    subject TEXT, position INTEGER, "unknown" INTEGER, PRIMARY KEY (subject, position)) WITHOUT ROWID;
CREATE INDEX position_unknown ON position (position) WHERE "unknown";
"""

_TRUTHS: Final = frozenset({"unknown", "keeps_recognised", "member"})

_COLUMNS: Final = {name: ", ".join(f'"{one}"' for one in table.names) for name, table in TABLES.items()}
_CERTIFICATE: Final = _COLUMNS["certificate"]
_INSERT: Final = {
    name: f"INSERT INTO {name} ({_COLUMNS[name]}) VALUES ({', '.join('?' * len(table.names))})"  # noqa: S608  # ours
    for name, table in TABLES.items()
}


class State:
    """What a log's entries have made so far."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Drop the state."""
        self._database.close()

    def prior(self, certificates: Iterable[str], documents: Iterable[bytes], subjects: Iterable[str]) -> Prior:
        """Return the rows that the next entries touch."""
        found = Prior()
        for row in self._named(f"SELECT {_CERTIFICATE} FROM certificate WHERE certificate IN", certificates):  # noqa: S608
            certificate = self._certificate(row)
            found.certificates[certificate.certificate] = certificate
        for (document,) in self._named("SELECT document FROM document WHERE document IN", documents):
            found.documents.add(document)
        for subject, version, unknown in self._named("SELECT * FROM stream WHERE subject IN", subjects):
            found.streams[subject] = Stream(version, bool(unknown))
        return found

    def apply(self, changes: Changes) -> None:
        """Write what entries change."""
        write = self._database
        write.execute("BEGIN")
        self._insert("certificate", (as_row(row)[1:] for row in changes.new_certificates.values()))
        write.executemany(
            "UPDATE certificate SET version = ?, document = ?, certified_on = ?, conditional_until = ?, "
            'confirmed_on = ?, effect = ?, effective_on = ?, "unknown" = ?, last_position = ? WHERE certificate = ?',
            [
                (
                    row.version,
                    row.document,
                    row.certified_on.isoformat(),
                    _iso(row.conditional_until),
                    _iso(row.confirmed_on),
                    row.effect,
                    _iso(row.effective_on),
                    row.unknown,
                    row.last_position,
                    row.certificate,
                )
                for row in changes.changed_certificates.values()
            ],
        )
        self._insert("document", changes.documents.items())
        self._insert("arrangement", ((*row[1:], None, None) for row in changes.arrangements))
        write.executemany(
            "UPDATE arrangement SET withdrawn_on = ?, withdrawn_position = ? WHERE arrangement = ?",
            [(_value(day), position, identity) for _, identity, day, position in changes.withdrawals],
        )
        self._insert("membership", (row[1:] for row in changes.memberships))
        write.executemany(
            "INSERT INTO stream VALUES (?, ?, ?) ON CONFLICT (subject) DO UPDATE SET version = excluded.version, "
            '"unknown" = excluded."unknown"',
            [(subject, stream.version, stream.unknown) for subject, stream in changes.streams.items()],
        )
        self._insert("position", (row[1:] for row in changes.positions))
        write.execute("COMMIT")

    def rows(self, table: Table) -> Iterator[Line]:
        """Yield the rows of a table as text, in the order of their keys."""
        named = table.names[: table.key]
        keys = ", ".join(f'CAST("{name}" AS TEXT)' if name == "position" else f'"{name}"' for name in named)
        for row in self._database.execute(f"SELECT {_COLUMNS[table.name]} FROM {table.name} ORDER BY {keys}"):  # noqa: S608
            yield _line(table, row)

    def row(self, table: Table, key: str) -> Line | None:
        """Return one row of a table whose key is one column of text."""
        query = f'SELECT {_COLUMNS[table.name]} FROM {table.name} WHERE "{table.names[0]}" = ?'  # noqa: S608  # ours
        found = self._database.execute(query, (key,)).fetchone()
        return None if found is None else _line(table, found)

    def certificate(self, identity: str) -> CertificateRow | None:
        """Return a certificate by its identity."""
        row = self._database.execute(f"SELECT {_CERTIFICATE} FROM certificate WHERE certificate = ?", (identity,))  # noqa: S608
        found = row.fetchone()
        return None if found is None else self._certificate(found)

    def certificate_of(self, document: bytes) -> CertificateRow | None:
        """Return the certificate that a document was issued for, by the document's hash."""
        found = self._database.execute("SELECT certificate FROM document WHERE document = ?", (document,)).fetchone()
        return None if found is None else self.certificate(found[0])

    def positions(self, subjects: Iterable[str]) -> list[int]:
        """Return where entries about subjects stand, and every one of an unknown type; an issue is not among them."""
        found = {row[0] for row in self._named("SELECT position FROM position WHERE subject IN", subjects)}
        found |= {row[0] for row in self._database.execute('SELECT position FROM position WHERE "unknown"')}
        return sorted(found)

    def positions_of_declarations(self) -> list[int]:
        """Return where arrangements and memberships are declared, and every entry of an unknown type."""
        rows = self._database.execute(
            "SELECT position FROM position WHERE subject >= 'arrangement/' AND subject < 'arrangement0' "
            "OR subject >= 'network/' AND subject < 'network0' OR \"unknown\""
        )
        return sorted({row[0] for row in rows})

    def counts(self, on: date) -> "Counts":
        """Return how many there are, and how many certificates have ended by a day."""
        row = self._database.execute(
            "SELECT count(*), coalesce(sum(effect = 'void' OR effect IS NOT NULL AND effective_on <= ?), 0), "
            'coalesce(sum("unknown"), 0) FROM certificate',
            (on.isoformat(),),
        ).fetchone()
        return Counts(
            certificates=row[0],
            ended=row[1],
            unreadable=row[2],
            documents=self._count("document"),
            arrangements=self._count("arrangement"),
            memberships=self._count("membership"),
        )

    def _count(self, table: str) -> int:
        return self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608

    def _insert(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        self._database.executemany(_INSERT[table], (tuple(map(_value, row)) for row in rows))

    def _named(self, query: str, keys: Iterable[object]) -> Iterator[Any]:
        wanted = list(keys)
        for start in range(0, len(wanted), _MOST_NAMED):
            some = wanted[start : start + _MOST_NAMED]
            yield from self._database.execute(f"{query} ({', '.join('?' for _ in some)})", some)

    def _certificate(self, row: Sequence[Any]) -> CertificateRow:
        identity, version, kind, document, certified, conditional, confirmed, effect, effective, unknown, *at = row
        return CertificateRow(
            self._log,
            identity,
            version,
            kind,
            document,
            date.fromisoformat(certified),
            _day(conditional),
            _day(confirmed),
            effect,
            _day(effective),
            bool(unknown),
            *at,
        )


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a log was folded to."""

    certificates: int
    ended: int
    """Revoked with effect by the day asked about, or void."""
    unreadable: int
    """About which an event of an unknown type was written."""
    documents: int
    arrangements: int
    memberships: int


def _line(table: Table, row: Sequence[object]) -> Line:
    return tuple(
        text_of(bool(value)) if name in _TRUTHS else text_of(value)
        for name, value in zip(table.names, row, strict=True)
    )


def _value(value: object) -> object:
    """Return what is stored of a value: days and lists as text."""
    return value if isinstance(value, bool | int | str | bytes | None) else text_of(value)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
