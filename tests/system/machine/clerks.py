"""The rules of the state machine that are commands, and how a step is run."""

import asyncio
import sys
from datetime import timedelta
from types import FrameType

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule

from tests.system.machine.model import allows
from tests.system.machine.world import CODES, SERVICE, World
from tomoni import times

TOWNS = st.sampled_from(CODES)


def day(ago: int = 0) -> str:
    return str(times.day_in_japan(times.now()) - timedelta(days=ago))


def application(*, mover: bool) -> dict:
    """Return the body of an application; these two people do not exist."""
    partner = {"name": "尼崎 あおい", "birth_date": "1985-05-05", "address": "兵庫県尼崎市東七松町1-23-1"}
    partner |= {"residence": "moving-in", "moves_in_on": day(10)} if mover else {"residence": "resident"}
    couple = [partner, partner | {"name": "武庫 ひかる", "birth_date": "1987-07-07"}]
    shown = ["identity-document", "proof-of-single-status", "residence-record"]
    applied = {"applied_on": day(30), "partners": couple, "facts": ["sexual-minority"], "documents": shown}
    return {"kind": "partnership", "certified_on": day(30), "application": applied}


def _names(step: FrameType) -> list[str]:
    return [name for name in step.f_code.co_varnames[: step.f_code.co_argcount] if name != "self"]


class Clerks(RuleBasedStateMachine):
    """What the clerks of both towns do. Each rule is a few awaits; meanwhile all services go on."""

    world: World
    runner: asyncio.Runner
    certificates = Bundle("certificates")
    arrangements = Bundle("arrangements")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, str]] = []
        self.steps: list[str] = []

    def run(self, coroutine):
        """Let all services go on until a step is done. The first failure is kept with the steps that led to it.

        Hypothesis tells of what fails again in the same way, and may complain of what does not instead.
        """
        step = sys._getframe(1)
        self.steps.append(f"{step.f_code.co_name}({', '.join(str(step.f_locals.get(name)) for name in _names(step))})")
        try:
            return self.runner.run(coroutine)
        except Exception as error:
            error.add_note("\n".join(["Steps of this run:", *self.steps]))
            self.world.failure = self.world.failure or error
            raise

    # Clerks

    @rule(target=certificates, code=TOWNS, mover=st.booleans())
    def issue(self, code, mover):
        return self._issued(code, mover=mover) if self._takes_commands(code) else multiple()

    def _takes_commands(self, code: str) -> bool:
        return not self.world.towns[code].is_lost

    def _issued(self, code: str, *, mover: bool = False):
        return self.run(self._issue(code, mover=mover))

    async def _issue(self, code: str, *, mover: bool = False):
        answer = await self.world.towns[code].command("/v1/certificates", application(mover=mover))
        assert answer.status_code == 201, answer.text
        made = answer.json()
        subject = f"certificate/{made['certificate']}"
        self.world.model.record(code, subject, "issued", document=made["handle"], until=made.get("conditional_until"))
        self._remember(code, subject, made["handle"])
        return code, subject

    def _remember(self, code: str, subject: str, handle: str) -> None:
        self.asked.append((code, subject, handle))
        self.world.documents.append((code, subject, handle))

    def _change(self, certificate, what: str, path: str, body: dict, scope: str = "clerk", fact: str = "") -> None:
        code, subject = certificate
        if not self._takes_commands(code):
            return
        facts = self.world.model.streams[code, subject]
        answer = self.run(
            self.world.towns[code].command(f"/v1/{subject.replace('certificate', 'certificates')}/{path}", body, scope)
        )
        assert answer.is_success == allows(facts, what, day()), (what, facts, answer.text)
        if not answer.is_success:
            return
        made = answer.json()
        details = {"until": made.get("conditional_until")}
        if "handle" in made:
            details["document"] = made["handle"]
            self._remember(code, subject, made["handle"])
        self.world.model.record(code, subject, fact or what, **details)

    @rule(certificate=certificates)
    def confirm(self, certificate):
        self._change(certificate, "confirmed", "confirm", {"confirmed_on": day()})

    @rule(certificate=certificates)
    def reissue(self, certificate):
        self._change(certificate, "reissued", "reissue", {"reissued_on": day()})

    @rule(certificate=certificates, void=st.booleans())
    def revoke(self, certificate, void):
        end = {"effect": "ended", "reason": "dissolution", "effective_on": day(5)}
        body = {"effect": "void", "reason": "clerical-error"} if void else end
        self._change(certificate, "revoked", "revoke", body, "supervisor")

    @rule(certificate=certificates)
    def reinstate(self, certificate):
        self._change(
            certificate, "reinstated", "reinstate", {"reinstated_on": day(), "reason": "取り違え"}, "supervisor"
        )

    @rule(certificate=certificates)
    def correct(self, certificate):
        facts = self.world.model.streams[certificate]
        earlier = 30 + sum(fact["what"] == "corrected" for fact in facts) + 1
        self._change(certificate, "corrected", "correct", {"certified_on": day(earlier), "reason": "誤記"})

    @rule(certificate=certificates)
    def let_lapse(self, certificate):
        body = {"conditional_until": day(1), "reason": "誤記"}
        self._change(certificate, "lapsed", "correct", body, fact="corrected")

    @rule(target=arrangements, code=TOWNS)
    def declare(self, code):
        if not self._takes_commands(code):
            return multiple()
        issuer = CODES[1 - CODES.index(code)]
        body = {
            "pattern": "E",
            "issuers": {"codes": [issuer]},
            "kinds": ["partnership"],
            "services": [SERVICE],
            "effective_from": day(300),
        }
        answer = self.run(self.world.towns[code].command("/v1/arrangements", body))
        assert answer.status_code == 201, answer.text
        subject = f"arrangement/{answer.json()['arrangement']}"
        self.world.model.record(code, subject, "declared", issuer=issuer)
        return code, subject

    @rule(arrangement=arrangements)
    def withdraw(self, arrangement):
        code, subject = arrangement
        if not self._takes_commands(code):
            return
        path = f"/v1/{subject.replace('arrangement', 'arrangements')}/withdraw"
        answer = self.run(self.world.towns[code].command(path, {"effective_on": day()}))
        assert answer.is_success == (len(self.world.model.streams[arrangement]) == 1), answer.text
        if answer.is_success:
            self.world.model.record(code, subject, "withdrawn")

    @rule(code=TOWNS)
    def rotate_key(self, code):
        if self._takes_commands(code):
            answer = self.run(self.world.towns[code].command("/v1/keys/rotate", {}, "supervisor"))
            assert answer.status_code == 200, answer.text
            self.world.model.record(code, "key", "rotated")
