"""Every key of a federation and a town is replaced, as the guides say it; what was proven stays so, to auditors too."""

from pathlib import Path

import msgspec
import pytest

from tests.system.test_healing import Town, patched, town, until
from tomoni.secret_files import write_secret
from tomoni_cli.demo.system import Public
from tomoni_cli.demo.towns import SHIBUYA


class Keys:
    """The commands of the guides, typed on the machines of the federation and of Shibuya."""

    def __init__(self, shibuya: Town, folder: Path) -> None:
        self.system, self.folder = shibuya.system, folder
        self.federation_settings = self.system.federation_files.settings
        self.files = self.system.node_files(SHIBUYA)

    def secretariat(self, *words: str) -> str:
        return self._run(self.federation_settings, "federation", *words)

    def town(self, *words: str) -> str:
        return self._run(self.files.settings, "registry", *words)

    def token(self, text: str) -> str:
        file = self.folder / f"token-{len(list(self.folder.glob('token-*')))}"
        write_secret(file, text.encode())
        return str(file)

    def _run(self, settings: Path, *words: str) -> str:
        owner = self.system.postgres.tcp_dsn(f"node_{SHIBUYA.code}", f"node_{SHIBUYA.code}_owner")
        database = self.system._database(settings)["DATABASE"]
        with patched({"TOMONI_DATABASE": database, "TOMONI_OWNER_DATABASE": owner}):
            status, told = self.system.run(*words, "--config", str(settings))
        assert status == 0, told
        return told


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_key_is_replaced_and_what_was_proven_stays_so(folder: Path) -> None:
    with town(folder) as shibuya:
        system, keys = shibuya.system, Keys(shibuya, folder)
        _, handle = shibuya.issue(2)
        shibuya.require_proven()

        keys.secretariat("rotate-log-key")
        system.federation.stop()
        keys.secretariat("rotate-receipt-key")
        system.federation.start()
        system.federation.wait_ready()
        token = keys.token(system.node_token(SHIBUYA, "supervisor"))
        status, told = system.run(
            "registry", "rotate-log-key", "--token-file", token, "--url", system.node(SHIBUYA).url
        )
        assert status == 0, told
        shibuya.issue()
        shibuya.require_proven()

        keys.town("rotate-transport-key")
        keys.secretariat("accept-transport-key", str(keys.files.transport_request))
        keys.town("rotate-transport-key", "--use")
        system.relay(SHIBUYA).stop()
        system.relay(SHIBUYA).start()
        system.relay(SHIBUYA).wait_ready()
        keys.secretariat("retire-transport-key", SHIBUYA.code)
        shibuya.issue()
        shibuya.require_proven()

        size = str(len(shibuya.entries()))
        assert f"is suspended from size {size} on" in keys.secretariat("suspend-key", SHIBUYA.code)
        for process in (system.node(SHIBUYA), system.relay(SHIBUYA)):
            process.stop()
        for lost in (*keys.files.keys.glob("log-*.key"), keys.files.heartbeat_key, keys.files.transport_seed):
            lost.unlink()
        keys.town("replace-keys", "--from-size", size)
        system.node(SHIBUYA).start()
        system.node(SHIBUYA).wait_ready()
        system.relay(SHIBUYA).start()
        keys.secretariat("readmit", str(keys.files.admission))
        _, newer = shibuya.issue()
        shibuya.require_proven()
        until(lambda: shibuya.status(newer) == "valid", "the new certificate is valid")
        assert shibuya.status(handle) == "valid"
        assert system.verify_mirror() == (0, "")

        public = msgspec.json.decode((folder / "public.json").read_bytes(), type=Public)
        histories, token = str(folder / "histories"), keys.token(system.federation_token("auditor"))
        status, told = system.run("audit", "fetch", system.federation.url, histories, "--token-file", token)
        assert status == 0, told
        of_the_beginning = ("--key", public.verifier_key, "--key", public.receipt_key)
        status, told = system.run("audit", "verify", histories, *of_the_beginning, "--json")
        assert status == 0, told
        assert [(log["size"], log["receipts_checked"]) for log in msgspec.json.decode(told)["logs"]] == [
            (7, True),
            (len(shibuya.entries()), True),
        ]
