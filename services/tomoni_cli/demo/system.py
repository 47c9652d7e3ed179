"""The whole system on one machine: PostgreSQL, the federation, the hub, and a node and a relay for each town."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from tomoni.admission import AdmissionRequest
from tomoni.auth import Scope, TokenIssuer
from tomoni.secret_files import write_secret
from tomoni.settings import load
from tomoni_cli.demo.api import Api
from tomoni_cli.demo.ports import choose_ports
from tomoni_cli.demo.processes import Process
from tomoni_cli.demo.towns import FEDERATION, Town
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.hub.initialise import initialise_hub
from tomoni_federation.initialise import NewFederation
from tomoni_federation.initialise import initialise as initialise_federation
from tomoni_federation.settings import Files as FederationFiles
from tomoni_registry.initialise import Databases, NewNode
from tomoni_registry.initialise import initialise as initialise_node
from tomoni_registry.settings import Files as NodeFiles

HEARTBEAT_SECONDS = 1
PURPOSES = {"counter": 86_400, "demo": 5, "emergency": 604_800}
"""Purposes and the seconds an answer may be old; `demo` is short enough to watch an answer turn unknown."""


class Public(msgspec.Struct, frozen=True):
    """The federation's public keys, kept from its making: the key of its log, that of receipts, its nkey."""

    verifier_key: str
    receipt_key: str
    transport_key: str


class System:
    """A context manager: makes what is missing under a folder, starts every process, stops all of them at the end."""

    def __init__(self, folder: Path, towns: Sequence[Town]) -> None:
        self.folder = folder
        self.towns = towns
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        names = ["postgres", "federation", "hub", "hub-http"]
        names += [f"{kind}-{town.code}" for town in towns for kind in ("node", "relay")]
        self.ports = choose_ports(folder / "ports.json", names)
        self.postgres = EmbeddedPostgres(folder / "postgres", port=self.ports["postgres"])
        self.federation_files = FederationFiles(folder / "federation")
        self._hub_folder = folder / "hub"
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        try:
            self.postgres.start()
            asyncio.run(self._make_missing())
            self._prepare_processes()
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop every process, those who publish first, the database last."""
        with ThreadPoolExecutor(8) as pool:
            for kind in ("relay", "node", "hub", "federation"):
                matching = [one for name, one in self._processes.items() if name.startswith(kind)]
                list(pool.map(Process.stop, matching))
        self.postgres.stop()

    @property
    def federation(self) -> Process:
        """The federation's service."""
        return self._processes["federation"]

    @property
    def hub(self) -> Process:
        """The hub."""
        return self._processes["hub"]

    def node(self, town: Town) -> Process:
        """Return the node of a town."""
        return self._processes[f"node-{town.code}"]

    def relay(self, town: Town) -> Process:
        """Return the relay of a town."""
        return self._processes[f"relay-{town.code}"]

    def node_files(self, town: Town) -> NodeFiles:
        """Where a town's files lie."""
        return NodeFiles(self.folder / f"node-{town.code}")

    def federation_token(self, scope: Scope) -> str:
        """Return a token of the federation for somebody with a scope."""
        name = f"{FEDERATION}/federation"
        issuer = TokenIssuer(self.federation_files.token_key, f"https://{name}")
        return issuer.issue(f"demo-{scope}", [scope], name, lifetime=timedelta(days=30))

    def node_token(self, town: Town, scope: Scope) -> str:
        """Return a token of a town's node for somebody with a scope."""
        name = f"{FEDERATION}/{town.code}"
        issuer = TokenIssuer(self.node_files(town).token_key, f"https://{name}")
        return issuer.issue(f"demo-{scope}", [scope], name, jurisdiction=town.code, lifetime=timedelta(days=30))

    def federation_api(self, scope: Scope) -> Api:
        """Return the federation's HTTP as somebody with a scope sees it."""
        return Api(self.federation.url, self.federation_token(scope))

    def node_api(self, town: Town, scope: Scope) -> Api:
        """Return a node's HTTP as somebody with a scope sees it."""
        return Api(self.node(town).url, self.node_token(town, scope))

    def admission_request(self, town: Town) -> AdmissionRequest:
        """Return what a town hands to the secretariat."""
        return msgspec.json.decode(self.node_files(town).admission.read_bytes(), type=AdmissionRequest)

    def verify_log(self, town: Town) -> tuple[int, str]:
        """Verify a town's log over HTTP as an auditor does and return its size and root."""
        token_file = self.folder / f"auditor-{town.code}.token"
        token_file.unlink(missing_ok=True)
        write_secret(token_file, self.node_token(town, "auditor").encode())
        key = self.admission_request(town).log_key
        status, told = self.run(
            "log", "verify", f"{self.node(town).url}/log", "--key", key, "--json", "--token-file", str(token_file)
        )
        if status != 0:
            raise RuntimeError(f"the log of {town.code} does not verify: {told}")
        report = msgspec.json.decode(told, type=dict[str, object])
        return int(str(report["size"])), str(report["root"])

    def verify_mirror(self) -> tuple[int, str]:
        """Verify the federation's mirror and return the command's status and what it told of faults."""
        status, told = self.run("federation", "verify-mirror", "--config", str(self.federation_files.settings))
        return status, "\n".join(line for line in told.splitlines() if "WRONG" in line)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a `tomoni` command to its end and return its status and output."""
        command = [sys.executable, "-m", "tomoni_cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
        return done.returncode, done.stdout + done.stderr

    def run_sql(self, database: str, sql: str) -> str:
        """Run statements as PostgreSQL's superuser and return the rows."""
        return self.postgres.run_sql(sql, database)

    async def _make_missing(self) -> None:
        public_file = self.folder / "public.json"
        if not public_file.exists():
            made = await initialise_federation(
                NewFederation(
                    name=FEDERATION, folder=self.federation_files.folder, owner_database=self._owner("federation")
                )
            )
            public = Public(made.verifier_key, made.receipt_key, made.transport_key or "")
            public_file.write_bytes(msgspec.json.encode(public))
        public = msgspec.json.decode(public_file.read_bytes(), type=Public)
        if not self._hub_folder.exists():
            self._make_hub(public)
        missing = [town for town in self.towns if not self.node_files(town).settings.exists()]
        await asyncio.gather(*(self._make_node(town, public) for town in missing))

    def _make_hub(self, public: Public) -> None:
        token_file = self.folder / "hub.token"
        write_secret(token_file, self.federation_token("witness").encode())
        initialise_hub(
            self._hub_folder,
            federation=FEDERATION,
            log_url=f"{self._url('federation')}/log",
            verifier_key=public.verifier_key,
            token_file=token_file,
            federation_key=public.transport_key,
        )

    async def _make_node(self, town: Town, public: Public) -> None:
        node = NewNode(
            code=town.code,
            federation=FEDERATION,
            folder=self.node_files(town).folder,
            preset=town.preset,
            receipt_key=public.receipt_key,
        )
        await initialise_node(node, Databases(owner=self._owner(f"node_{town.code}")))

    def _owner(self, database: str) -> str:
        """Return the connection string of a database's owner, making both; it may make the roles of its services."""
        if not self.postgres.has_database(database):
            self.postgres.create_database(database)
            self.postgres.run_sql(f'ALTER ROLE "{database}_owner" CREATEROLE')
        return self.postgres.tcp_dsn(database, f"{database}_owner")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def _prepare_processes(self) -> None:
        hub = {"HUB__SERVERS": f'["nats://127.0.0.1:{self.ports["hub"]}"]'}
        beat = {"LOG__HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}
        purposes = {f"PURPOSES__{name.upper()}": str(seconds) for name, seconds in PURPOSES.items()}
        settings = self.federation_files.settings
        self._add(
            "federation",
            "federation",
            ["federation", "serve"],
            settings,
            hub | beat | purposes | self._database(settings),
        )
        ports = {
            "NATS__PORT": str(self.ports["hub"]),
            "LOG__URL": f"{self._url('federation')}/log",
            "LOG__EVERY_SECONDS": "0.5",
        }
        self._add("hub", "hub-http", ["hub"], self._hub_folder / "hub.toml", ports)
        for town in self.towns:
            files = self.node_files(town)
            self._add(
                f"node-{town.code}",
                f"node-{town.code}",
                ["registry", "serve"],
                files.settings,
                beat | self._database(files.settings),
            )
            relay = hub | {"LAG_SECONDS": "10"} | self._database(files.relay_settings)
            self._add(f"relay-{town.code}", f"relay-{town.code}", ["registry", "relay"], files.relay_settings, relay)

    def _add(self, name: str, port: str, command: list[str], file: Path, settings: Mapping[str, str]) -> None:
        """Prepare a process; what changes from start to start (ports) comes by its environment."""
        environment = {f"TOMONI_{key}": value for key, value in settings.items()}
        environment["TOMONI_HTTP__PORT"] = str(self.ports[port])
        if sys.dont_write_bytecode:  # each of a dozen processes would compile a thousand modules again
            environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        log = self.folder / "logs" / f"{name}.log"
        self._processes[name] = Process(name, [*command, "--config", str(file)], self._url(port), log, environment)

    def _database(self, file: Path) -> dict[str, str]:
        """Return the setting of a file's database at the port PostgreSQL has this time."""
        parts = urlsplit(load(_Database, file, prefix="UNUSED").database)
        credentials = parts.netloc.rpartition("@")[0]
        return {"DATABASE": urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{self.ports['postgres']}"))}

    def _start_all(self) -> None:
        self.federation.start()
        for town in self.towns:
            self.node(town).start()
        self.federation.wait_ready()
        self.hub.start()
        for town in self.towns:
            self.relay(town).start()
        self.hub.wait_ready()
        for town in self.towns:
            self.node(town).wait_ready()


class _Database(msgspec.Struct):
    database: str
