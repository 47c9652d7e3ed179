"""The tour: what a newcomer is shown, each step checked to be as told."""

import datetime
import time
from collections.abc import Callable
from typing import cast

from rich.console import Console

from tomoni import times
from tomoni.jurisdictions import all_jurisdictions, by_code
from tomoni_cli.demo import declarations, people
from tomoni_cli.demo.api import Api, Body
from tomoni_cli.demo.system import System
from tomoni_cli.demo.tampering import changed_mirror_entry
from tomoni_cli.demo.towns import AMAGASAKI, SETAGAYA, SHIBUYA, TOKYO, TOWNS, YOKOHAMA, Town

WAIT_SECONDS = 30
SHORT_PURPOSE = "demo"
"""A purpose for which an answer may be a few seconds old; the settings of the demonstration name it."""


class TourFailed(Exception):  # noqa: N818  # named for what it is
    """A step was not as it should be."""


class Tour:
    """The steps, in order; each tells what it does and requires what it says."""

    def __init__(self, system: System, console: Console) -> None:
        self._system = system
        self._console = console
        self._desk: Api = system.federation_api("verifier")
        self._today = times.day_in_japan(times.now())
        self._step = 0

    def run(self) -> None:
        """Take the whole tour; raise TourFailed or UnexpectedAnswer at the first step that is not as expected."""
        self._know_jurisdictions()
        self._admit()
        self._open_schemes()
        self._declare()
        certificate, handle = self._swear()
        self._explain(handle)
        self._show_each_pattern(handle, self._continue_elsewhere())
        second, second_handle = self._cut_off(handle)
        self._revoke(certificate, handle)
        self._reissue(second, second_handle)
        self._verify_log()
        self._tamper()

    def _know_jurisdictions(self) -> None:
        self._title("Who could take part")
        known = all_jurisdictions()
        self._require(len(known) == 1_788, "all 47 prefectures and 1,741 municipalities are known")
        self._say(f"All {len(known):,} jurisdictions of Japan are known by code and name; five of them run here:")
        for town in TOWNS:
            self._say(f"  [cyan]{town.code}[/]  {town.name}")

    def _admit(self) -> None:
        self._title("Admission")
        self._say("Each town hands in its public keys, with proof that it holds them. The secretariat admits it in")
        self._say("the federation's own log; the hub reads that log and opens an account for the town.")
        secretariat = self._system.federation_api("secretariat")
        for town in TOWNS:
            secretariat.ask("/v1/admissions", self._system.admission_request(town))
        secretariat.close()
        for town in TOWNS:
            self._system.relay(town).wait_ready()
        self._ok("five towns admitted, and connected to the hub")

    def _open_schemes(self) -> None:
        self._title("Schemes")
        for town in TOWNS:
            with_supervisor = self._system.node_api(town, "supervisor")
            if not cast("list[Body]", with_supervisor.get("/v1/scheme")["periods"]):
                opens_on = datetime.date(2020, 4, 1)
                with_supervisor.command("/v1/scheme/open", {"opens_on": opens_on, "version": 0})
            with_supervisor.close()
        self._ok("each town has opened its scheme (制度), under its own rules")

    def _declare(self) -> None:
        self._title("Arrangements")
        for town in TOWNS:
            clerk = self._system.node_api(town, "clerk")
            if not clerk.get("/v1/arrangements")["arrangements"]:
                for one in declarations.of(town):
                    clerk.command("/v1/arrangements", one.body())
            clerk.close()
        self._say("[cyan]Setagaya[/] recognises partnerships of Tokyo and Shibuya for its services (pattern E).")
        self._say("[cyan]Amagasaki[/] continues those of Yokohama and Shibuya without a new oath (pattern B).")
        self._say(
            "Tokyo and Yokohama let each other's be used on (A), Setagaya takes over what Yokohama hands to it (C),"
        )
        self._say(
            "and Tokyo asks holders of Shibuya's for fewer documents (D). These are samples, not real agreements."
        )
        self._ok("a town speaks only for itself: each is an entry in the receiver's own log, mutual use is two")

    def _swear(self) -> tuple[str, str]:
        self._title("An oath in Shibuya")
        issued = self._issue(SHIBUYA, people.shibuya_couple(self._today))
        certificate, handle = str(issued["certificate"]), str(issued["handle"])
        started = time.monotonic()
        self._say("A couple swears. Their document bears the issuer's code and a secret handle:")
        self._say(f"  [bold]{SHIBUYA.code}  {handle}[/]")
        answer = self._until("recognised", lambda: self._recognition(handle, SETAGAYA, "hospital-visit"))
        seconds = time.monotonic() - started
        self._ok(f"recognised in Setagaya {seconds:.1f} s after the oath: {answer['decision']}")
        return certificate, handle

    def _explain(self, handle: str) -> None:
        self._title("The answer, with its reasons")
        self._show(self._recognition(handle, SETAGAYA, "hospital-visit"))
        self._say("For a service the arrangement does not name:")
        nursery = self._recognition(handle, SETAGAYA, "nursery")
        self._show(nursery)
        self._require(nursery["decision"] == "not-recognised", "a service that is not covered is not recognised")
        self._say("In Yokohama, which has declared nothing about Shibuya:")
        yokohama = self._recognition(handle, YOKOHAMA, "hospital-visit")
        self._show(yokohama)
        self._require(yokohama["decision"] == "not-recognised", "without an arrangement it is not recognised")
        outsider = by_code("131083")
        self._say(f"A document of {outsider.romaji} ({outsider.code}), which does not take part:")
        unknown = self._desk.ask("/v1/status", {"issuer": outsider.code, "handle": handle, "purpose": "counter"})
        self._say(f"  status [yellow]{unknown['status']}[/]: {unknown['text']}")
        self._require(unknown["status"] == "unknown", "who does not take part is unknown, never invalid or valid")

    def _continue_elsewhere(self) -> str:
        self._title("Moving on: continuation")
        issued = self._issue(YOKOHAMA, people.yokohama_couple(self._today))
        handle = str(issued["handle"])
        self._say("A couple from Yokohama moves to Amagasaki, which issues its own certificate without a new oath:")
        ask = lambda: self._recognition(handle, AMAGASAKI, "new-certificate", YOKOHAMA)  # noqa: E731
        self._show(self._until("recognised", ask))
        self._ok("Amagasaki sees what to ask for before it issues")
        return handle

    def _show_each_pattern(self, of_shibuya: str, of_yokohama: str) -> None:
        self._title('Five things that "recognised elsewhere" can mean')
        for pattern, handle, issuer, receiver, service in (
            ("A", of_yokohama, YOKOHAMA, TOKYO, "public-housing"),
            ("B", of_yokohama, YOKOHAMA, AMAGASAKI, "new-certificate"),
            ("C", of_yokohama, YOKOHAMA, SETAGAYA, "new-certificate"),
            ("D", of_shibuya, SHIBUYA, TOKYO, "new-certificate"),
            ("E", of_shibuya, SHIBUYA, SETAGAYA, "public-housing"),
        ):
            answer = self._recognition(handle, receiver, service, issuer)
            self._say(f"[bold]{pattern}[/]  {issuer.name} at {receiver.name}, {service}:")
            self._say(f"     {answer['terms']}")
            if (answer["decision"], answer["pattern"]) != ("recognised", pattern):
                raise TourFailed(f"pattern {pattern} was answered {answer['decision']}")
        self._ok("each is decided by what the receiver has declared, and says what follows")

    def _cut_off(self, handle: str) -> tuple[str, str]:
        self._title("Shibuya is cut off, and keeps working")
        relay = self._system.relay(SHIBUYA)
        relay.stop()
        self._say("Its relay is stopped, as if the line were down. The node goes on issuing:")
        issued = self._issue(SHIBUYA, people.shibuya_couple(self._today))
        second, second_handle = str(issued["certificate"]), str(issued["handle"])
        stale = self._until(
            "unknown", lambda: self._recognition(handle, SETAGAYA, "hospital-visit", purpose=SHORT_PURPOSE)
        )
        self._show(stale)
        self._ok("for a purpose that needs an answer of the last seconds the first document is unknown, not invalid")
        fresh = self._recognition(handle, SETAGAYA, "hospital-visit")
        self._require(
            fresh["decision"] == "recognised", "for a counter, where a day old is good enough, it still counts"
        )
        not_yet = self._status(second_handle, SHORT_PURPOSE)
        self._require(not_yet["status"] == "unknown", "a document not found in a stale log is unknown too")
        self._say("The line is back:")
        relay.start()
        self._until("recognised", lambda: self._recognition(second_handle, SETAGAYA, "hospital-visit"))
        self._until("recognised", lambda: self._recognition(handle, SETAGAYA, "hospital-visit", purpose=SHORT_PURPOSE))
        self._ok("nothing was lost: the document issued meanwhile is recognised as well")
        return second, second_handle

    def _revoke(self, certificate: str, handle: str) -> None:
        self._title("The end of a certificate")
        then = times.now()
        clerk = self._system.node_api(SHIBUYA, "clerk")
        body = {"effect": "ended", "reason": "dissolution", "effective_on": self._today}
        clerk.command(f"/v1/certificates/{certificate}/revoke", body)
        clerk.close()
        started = time.monotonic()
        self._until("not-recognised", lambda: self._recognition(handle, SETAGAYA, "hospital-visit"))
        seconds = time.monotonic() - started
        self._require(self._status(handle)["status"] == "not-valid", "everybody sees that it ended, and nobody why")
        self._ok(f"not valid anywhere {seconds:.1f} s later; the reason stays in Shibuya's vault")
        self._say("Why was it recognised before? The same question, as it was known then:")
        known_then = self._recognition(handle, SETAGAYA, "hospital-visit", as_known_at=times.format_time(then))
        self._show(known_then)
        self._require(known_then["decision"] == "recognised", "the answer of then is told from what was proven by then")

    def _reissue(self, certificate: str, old: str) -> None:
        self._title("A lost document")
        clerk = self._system.node_api(SHIBUYA, "clerk")
        body = {"reissued_on": self._today, "reason": "紛失"}
        new = str(clerk.command(f"/v1/certificates/{certificate}/reissue", body)["handle"])
        clerk.close()
        self._until("valid", lambda: self._status(new))
        self._require(self._status(old)["status"] == "replaced", "the old document is replaced")
        self._ok("the new document is valid, the old one replaced; the partnership goes on")

    def _verify_log(self) -> None:
        self._title("Trust nobody: verify Shibuya's log")
        size, root = self._system.verify_log(SHIBUYA)
        self._say(f"  size {size}, root {root}")
        self._ok("every entry and every tile is what the signed checkpoint says (tomoni log verify)")

    def _tamper(self) -> None:
        self._title("Somebody changes an entry in the federation's mirror")
        self._require(self._system.verify_mirror()[0] == 0, "the mirror is whole before")
        with changed_mirror_entry(self._system, SHIBUYA):
            status, told = self._system.verify_mirror()
            self._say(f"  tomoni federation verify-mirror: [red]{told}[/]")
            self._require(status == 1 and SHIBUYA.code in told, "it is found, with log and position")
        self._require(self._system.verify_mirror()[0] == 0, "the mirror is whole again")
        self._ok("a changed row is found by its hash, and named")

    def _issue(self, town: Town, body: object) -> Body:
        clerk = self._system.node_api(town, "clerk")
        try:
            return clerk.command("/v1/certificates", body)
        finally:
            clerk.close()

    def _recognition(
        self,
        handle: str,
        receiver: Town,
        service: str,
        issuer: Town = SHIBUYA,
        *,
        purpose: str = "counter",
        as_known_at: str | None = None,
    ) -> Body:
        question = {
            "issuer": issuer.code,
            "handle": handle,
            "receiver": receiver.code,
            "service": service,
            "purpose": purpose,
            "as_known_at": as_known_at,
        }
        return self._desk.ask("/v1/recognition", question)

    def _status(self, handle: str, purpose: str = "counter") -> Body:
        return self._desk.ask("/v1/status", {"issuer": SHIBUYA.code, "handle": handle, "purpose": purpose})

    def _until(self, wanted: str, ask: Callable[[], Body]) -> Body:
        """Ask until the decision or status is the wanted one; raise TourFailed where it does not come."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer = ask()
            got = answer.get("decision", answer.get("status"))
            if got == wanted:
                return answer
            if time.monotonic() > deadline:
                raise TourFailed(f"the answer stayed {got}, where {wanted} was expected")
            time.sleep(0.05)

    def _show(self, answer: Body) -> None:
        colour = {"recognised": "green", "not-recognised": "red"}.get(str(answer["decision"]), "yellow")
        pattern = f", pattern {answer['pattern']}" if "pattern" in answer else ""
        self._say(f"  [{colour}]{answer['decision']}[/]{pattern}")
        for reason in cast("list[Body]", answer["reasons"]):
            self._say(f"    because: {reason['text']}")
        if "terms" in answer:
            self._say(f"    terms:   {answer['terms']}")
        if answer.get("conditions"):
            self._say(f"    show:    {', '.join(cast('list[str]', answer['conditions']))}")
        status = cast("Body", answer["certificate"])
        self._say(f"    status:  {status['status']}, as of {status['fresh_as_of']}")

    def _title(self, text: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold]{self._step}. {text}[/]")

    def _say(self, text: str) -> None:
        self._console.print(f"   {text}", highlight=False)

    def _ok(self, text: str) -> None:
        self._console.print(f"   [green]✓[/] {text}", highlight=False)

    def _require(self, holds: bool, text: str) -> None:
        if not holds:
            raise TourFailed(f"not so: {text}")
        self._ok(text)
