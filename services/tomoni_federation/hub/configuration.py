"""The nats-server's configuration as a pure function of settings, known codes and admitted users.

One account per jurisdiction, all declared from the start: an account that a reload adds gets no answers until a
second reload, a user does (docs/decisions/0020). The streams belong to the account HUB, in which nobody works at
run time; everybody else imports what they may do. Codes are quoted, or 131130 would be read as a number.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tomoni.transport.subjects import (
    FEDERATION_INBOX,
    FEDERATION_SUBJECTS,
    MAX_BATCH_MESSAGES,
    MAX_MESSAGE_BYTES,
    PROVISIONER_INBOX,
    PROVISIONER_SUBJECTS,
    node_inbox,
    node_subjects,
)

_NODE_EXPORTS: Final = (
    ("registry.events.*", 3),
    ("registry.heartbeats.*", 3),
    ("$JS.API.DIRECT.GET.EVENTS.registry.events.*", 8),
    ("$JS.API.DIRECT.GET.HEARTBEATS.registry.heartbeats.*", 8),
    ("$JS.API.DIRECT.GET.RECEIPTS.registry.receipts.*", 8),
)
"""What nodes may import, and at which token their account's name, the code, must stand."""
ROUTE_USER: Final = "route"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The servers that hold the streams together: who this one is, and how they reach and know each other.

    `routes` are the addresses (`host:port`) of all of them, this one too: the first election waits for a majority of
    as many servers as are named. Without certificates: loopback only.
    """

    server: str
    host: str
    port: int
    routes: tuple[str, ...]
    secret: str = field(repr=False)
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Addresses of the server, and the certificate it shows (none: loopback only)."""

    host: str
    port: int
    monitor_port: int
    certificate: Path | None = None
    key: Path | None = None
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKeys:
    """Public nkeys of those who are not jurisdictions."""

    system: str
    provisioner: str
    federation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the streams are kept, and how much they may take."""

    folder: Path
    max_bytes: int


def render(
    name: str,
    listening: Listening,
    storage: Storage,
    keys: ServiceKeys,
    codes: Iterable[str],
    users: Mapping[str, Sequence[str]],
) -> str:
    """Return the configuration: an account for every code, users in those of `users` (code → public nkeys)."""
    cluster = listening.cluster
    replicas = 1 if cluster is None else len(cluster.routes)
    sections = [
        _server(name if cluster is None else cluster.server, listening, storage.folder),
        *(() if cluster is None else (_cluster(name, cluster),)),
        _jetstream(storage),
        "accounts {",
        f"  SYS: {{ users: [ {{ nkey: {keys.system} }} ] }}",
        _hub_account(keys.provisioner, storage.max_bytes, replicas),
        _federation_account(keys.federation),
        *(_node_account(code, users.get(code, ())) for code in sorted(set(codes))),
        "}",
    ]
    return "\n".join(sections) + "\n"


def _server(name: str, listening: Listening, folder: Path) -> str:
    tls = ""
    if listening.certificate is not None and listening.key is not None:
        tls = (
            f"tls {{ cert_file: {_quoted(listening.certificate)}, key_file: {_quoted(listening.key)}, "
            'min_version: "1.3", handshake_first: false, timeout: 5 }\n'
        )
    return f"""\
# Written by `tomoni hub` from the federation's log; changes by hand are overwritten.
server_name: {_quoted(name)}
listen: {_quoted(f"{listening.host}:{listening.port}")}
http: "127.0.0.1:{listening.monitor_port}"
{tls}pid_file: {_quoted(folder / "nats-server.pid")}
log_file: {_quoted(folder / "nats-server.log")}
logfile_size_limit: 10MB
logfile_max_num: 5
debug: false
trace: false
max_payload: {MAX_MESSAGE_BYTES}
max_connections: 8192
max_subscriptions: 64
max_control_line: 1024
ping_interval: "20s"
ping_max: 2
write_deadline: "5s"
lame_duck_duration: "30s"
system_account: SYS
feature_flags {{
  js_ack_fc_v2: false, js_api_reply_v2: false, js_raft_delete_range: true, js_snapshot_sources: false
}}"""


def _cluster(name: str, cluster: Cluster) -> str:
    """Return the block of the routes.

    Who may open one could speak for any account, so it takes both a certificate of the authority, on both sides, and
    the secret. Clients are told of no addresses: they have all in their settings, by the names of the certificates.
    """
    tls = ""
    if cluster.certificate is not None and cluster.key is not None and cluster.authority is not None:
        tls = (
            f"  tls {{ cert_file: {_quoted(cluster.certificate)}, key_file: {_quoted(cluster.key)}, "
            f'ca_file: {_quoted(cluster.authority)}, verify: true, min_version: "1.3", timeout: 5 }}\n'
        )
    routes = ", ".join(_quoted(f"nats-route://{ROUTE_USER}:{cluster.secret}@{route}") for route in cluster.routes)
    return f"""\
cluster {{
  name: {_quoted(name)}
  listen: {_quoted(f"{cluster.host}:{cluster.port}")}
  authorization {{ user: {ROUTE_USER}, password: {_quoted(cluster.secret)}, timeout: 5 }}
{tls}  routes: [ {routes} ]
  no_advertise: true
}}"""


def _jetstream(storage: Storage) -> str:
    return f"""\
jetstream {{
  store_dir: {_quoted(storage.folder / "js")}, sync_interval: always
  max_file_store: {storage.max_bytes}, max_memory_store: 0
  limits {{ max_ack_pending: 20000
    batch {{
      max_inflight_per_stream: 4000, max_inflight_total: 4000, max_msgs: {MAX_BATCH_MESSAGES}, timeout: "2s"
    }}
  }}
}}"""


def _hub_account(provisioner: str, max_bytes: int, replicas: int) -> str:
    node_exports = [
        f"{{ service: {_quoted(subject)}, account_token_position: {token} }}" for subject, token in _NODE_EXPORTS
    ]
    federation_exports = [
        f"{{ service: {_quoted(subject)}{_streaming(subject)}, accounts: [ FEDERATION ] }}"
        for subject in FEDERATION_SUBJECTS
    ]
    exports = ",\n      ".join(node_exports + federation_exports)
    # An account's limits count what all servers hold, and provisioners on each of them.
    return f"""\
  HUB: {{
    jetstream: {{ max_file: {replicas * max_bytes}, max_memory: 0, max_streams: 3, max_consumers: 8 }}
    limits: {{ max_conn: {2 * replicas} }}
    users: [ {_user(provisioner, PROVISIONER_SUBJECTS, PROVISIONER_INBOX)} ]
    exports: [
      {exports} ]
  }}"""


def _federation_account(federation: str) -> str:
    return f"""\
  FEDERATION: {{
    limits: {{ max_conn: 64 }}
    users: [ {_user(federation, FEDERATION_SUBJECTS, FEDERATION_INBOX)} ]
    imports: [ {_imports(FEDERATION_SUBJECTS)} ]
  }}"""


def _node_account(code: str, nkeys: Sequence[str]) -> str:
    subjects = node_subjects(code)
    users = ", ".join(_user(nkey, subjects, node_inbox(code)) for nkey in nkeys)
    return f"""\
  {_quoted(code)}: {{
    limits: {{ max_conn: 4, max_subs: 16 }}
    users: [ {users} ]
    imports: [ {_imports(subjects)} ]
  }}"""


def _user(nkey: str, publish: Sequence[str], inbox: str) -> str:
    allowed = ", ".join(_quoted(subject) for subject in publish)
    return (
        f"{{ nkey: {nkey}, permissions: {{ publish: {{ allow: [ {allowed} ] }}, "
        f"subscribe: {{ allow: [ {_quoted(inbox + '.>')} ] }} }} }}"
    )


def _imports(subjects: Sequence[str]) -> str:
    return ", ".join(f"{{ service: {{ account: HUB, subject: {_quoted(subject)} }} }}" for subject in subjects)


def _streaming(subject: str) -> str:
    """Mark what has many answers to one request: pulls, and gets of several messages."""
    many = "MSG.NEXT" in subject or subject.startswith("$JS.API.DIRECT.GET")
    return ', response_type: "Stream"' if many else ""


def _quoted(value: object) -> str:
    return json.dumps(str(value))
