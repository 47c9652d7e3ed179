"""The deciders' refusals as problems over HTTP: each reason has its status and its title here."""

from tomoni.problems import Kind, Problem, register
from tomoni_registry.deciding import RefusalReason, Refused

_REFUSALS: dict[RefusalReason, Kind] = {
    "arrangement-not-found": Kind(404, "There is no such arrangement"),
    "arrangement-withdrawn": Kind(409, "The arrangement has been withdrawn"),
    "certificate-already-ended": Kind(409, "The certificate has ended"),
    "certificate-erased": Kind(410, "The certificate was erased"),
    "certificate-lapsed": Kind(409, "The certificate has lapsed"),
    "certificate-not-conditional": Kind(409, "The certificate is not conditional"),
    "certificate-not-current": Kind(409, "The certificate counts no more"),
    "certificate-not-ended": Kind(409, "The certificate has not ended"),
    "certificate-not-found": Kind(404, "There is no such certificate"),
    "certificate-not-revoked": Kind(409, "The certificate is not revoked"),
    "dates-out-of-order": Kind(422, "The dates cannot be"),
    "day-before-scheme": Kind(422, "The day is before the scheme opened"),
    "day-in-future": Kind(422, "The day is in the future"),
    "jurisdiction-not-found": Kind(422, "A jurisdiction cannot be named here"),
    "key-in-use": Kind(409, "The key was used before"),
    "kind-not-offered": Kind(422, "The scheme does not offer this kind"),
    "network-already-joined": Kind(409, "The town is a member"),
    "network-not-joined": Kind(409, "The town is not a member"),
    "not-eligible": Kind(422, "The rules of the scheme are not met"),
    "nothing-to-correct": Kind(422, "There is nothing to correct"),
    "reason-does-not-fit": Kind(422, "The reason does not fit the effect"),
    "retention-not-over": Kind(409, "The data has to be kept longer"),
    "retention-not-set": Kind(409, "The rules state no retention"),
    "scheme-already-open": Kind(409, "The scheme is open"),
    "scheme-not-open": Kind(409, "The scheme is not open"),
    "stale-version": Kind(409, "The thing has changed since it was read"),
    "too-many-arrangements": Kind(409, "There are too many arrangements"),
}

register(
    {
        **_REFUSALS,
        "certificate-not-erased": Kind(404, "The certificate was not erased"),
        "command-already-done": Kind(409, "The command was carried out before"),
        "idempotency-key-invalid": Kind(400, "The Idempotency-Key is missing or not a UUID"),
        "idempotency-key-reused": Kind(422, "The Idempotency-Key was used for another command"),
    }
)


def problem_of(refused: Refused) -> Problem:
    """Return the problem that answers a refusal."""
    problem = Problem(refused.reason, sentence(refused.detail))
    problem.fields.update(refused.fields)
    return problem


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
