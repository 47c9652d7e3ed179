"""Where messages begin and end on the wires of PostgreSQL and of NATS, as far as counting a client's steps needs it."""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

_OF_DRIVER = re.compile(r"\s*$|.*set_config\('jit'|WITH RECURSIVE typeinfo_tree", re.DOTALL)
_WRITES = re.compile(
    r"INSERT INTO|(?<!FOR )UPDATE |DELETE FROM|COPY|CREATE|ALTER|DROP|GRANT|COMMENT ON|ANALYZE|log\.append|pg_notify"
)
_DEFINES = re.compile(r"GRANT|(CREATE|ALTER|DROP|COMMENT|ANALYZE|LOCK) \w+")
_WITHOUT_STEP = re.compile(rb"PING|PONG|UNSUB")


class Said(NamedTuple):
    """What a client said, whole: its bytes, and the name of the step if it is one.

    `writes`: whether it changes anything, or others hear of it; `keeps`: whether that stays once the server has done
    it, and is not taken back where nothing follows. `probe` is sent behind it where the server answers nothing by
    itself. `answered` tells by the bytes that came since whether the server has done it.
    """

    data: bytes
    step: str | None = None
    writes: bool = False
    keeps: bool = False
    probe: bytes = b""
    answered: Callable[[bytes], bool] = bool


class Wire(Protocol):
    """Reads what one client sends."""

    def read(self, data: bytes) -> list[Said]:
        """Return what is whole by now, in order; the rest is kept until more comes."""
        ...


class PostgresWire:
    """The frontend's messages of PostgreSQL's protocol 3. A step is whatever has to be answered before the next.

    To prepare a statement, and to learn its types as the driver does, is none: it changes nothing, and to lose it is to
    lose the statement.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self._group = b""
        self._sql = self._last = ""
        self._started = self._in_transaction = False
        self._statements: dict[bytes, str] = {}

    def read(self, data: bytes) -> list[Said]:
        self._waiting += data
        whole: list[Said] = []
        while (size := self._size()) and len(self._waiting) >= size:
            message, self._waiting = self._waiting[:size], self._waiting[size:]
            self._group += message
            said = self._take(message)
            if said is not None:
                whole.append(said)
                self._group = b""
        return whole

    def _size(self) -> int:
        """Return how long the next message is; 0 where that has not come yet."""
        typed = int(self._started)
        if len(self._waiting) < 4 + typed:
            return 0
        return typed + struct.unpack_from(">i", self._waiting, typed)[0]

    def _take(self, message: bytes) -> Said | None:
        if not self._started:
            self._started = True
            return Said(self._group, "connect")
        kind, body = message[:1], message[5:]
        match kind:
            case b"P":
                name, sql = body.split(b"\0")[:2]
                self._statements[name] = sql.decode()
            case b"B":
                self._sql = self._statements[body.split(b"\0")[1]]
            case b"Q":
                return self._step(body.rstrip(b"\0").decode())
            case b"S":
                sql, self._sql = self._sql, ""
                return Said(self._group) if _OF_DRIVER.match(sql) else self._step(sql)
            case b"c":
                return self._step("COPY to its end")
            case b"p":
                return Said(self._group, "authenticate")
            case b"H" | b"X":
                return Said(self._group)
            case _:
                pass
        return None

    def _step(self, sql: str) -> Said:
        """Return a statement as a step. Within a transaction nothing is kept of it before the COMMIT."""
        words = sql.rstrip(";").split()
        name = defines[0] if (defines := _DEFINES.match(sql)) else " ".join(words)[:60]
        last, self._last = self._last, name
        ends = words[0] in {"COMMIT", "ROLLBACK"}
        self._in_transaction = words[0] == "BEGIN" or (self._in_transaction and not ends)
        writes = words[0] == "COMMIT" or _WRITES.search(sql) is not None
        keeps = writes and not self._in_transaction
        return Said(self._group, f"{name} after {last}" if ends else name, writes, keeps, answered=_is_ready)


def _is_ready(answer: bytes) -> bool:
    """Tell whether the server has nothing more to say: it is ready for a query, or for the rows of a COPY."""
    return answer[-6:-1] == b"Z\0\0\0\x05" or answer.startswith(b"G\0\0\0")


class NatsWire:
    """A client's lines of NATS; a step is whatever is no keeping alive."""

    def __init__(self) -> None:
        self._waiting = b""

    def read(self, data: bytes) -> list[Said]:
        self._waiting += data
        whole: list[Said] = []
        while b"\r\n" in self._waiting:
            line = self._waiting[: self._waiting.index(b"\r\n")]
            words = line.split()
            publishes = words[0] in {b"PUB", b"HPUB"}
            size = len(line) + 2 + (int(words[-1]) + 2 if publishes else 0)
            if len(self._waiting) < size:
                break
            message, self._waiting = self._waiting[:size], self._waiting[size:]
            whole.append(_said(message, words, publishes=publishes))
        return whole


def _said(message: bytes, words: list[bytes], *, publishes: bool) -> Said:
    if _WITHOUT_STEP.fullmatch(words[0]):
        return Said(message)
    subject = b"" if words[0] == b"CONNECT" else words[1]
    name = " ".join([words[0].decode(), *re.sub(r"_INBOX.*", "_INBOX", subject.decode()).split(".")[:5]])
    reply = words[2] if publishes and len(words) == (5 if words[0] == b"HPUB" else 4) else b""
    if reply and b".MSG.NEXT." not in subject:
        return Said(message, name, writes=True, keeps=True, answered=lambda answer: b"MSG " + reply + b" " in answer)
    return Said(message, name, publishes, publishes, probe=b"PING\r\n", answered=lambda answer: b"PONG\r\n" in answer)
