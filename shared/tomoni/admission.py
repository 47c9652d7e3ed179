"""Admission to the federation: the keys of a jurisdiction, each with proof that its holder asks for it.

Without proof of possession a town could be admitted with another's key, and the other's signed words would count
as its own.
"""

import base64

import msgspec

from tomoni import nkey
from tomoni.events.canonical import encode
from tomoni.events.federation import PossessionProofs, TransportKeyProofs
from tomoni.events.types import Code, NkeyPublic, VerifierKey
from tomoni.key_names import heartbeat_key_name
from tomoni.tlog.cosignature import CosignatureVerifier, Cosigner
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Signer, Verifier

_DOMAIN = b"tomoni-admission-v1\n"
_TRANSPORT_DOMAIN = b"tomoni-transport-key-v1\n"


class AdmissionError(ValueError):
    """An admission request does not hold; the text says which key is wrong, and how."""


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a jurisdiction hands to the secretariat: its public keys and the proofs. Nothing in it is secret."""

    code: Code
    log_key: VerifierKey
    heartbeat_key: VerifierKey
    transport_key: NkeyPublic
    proofs: PossessionProofs


def admission_statement(federation: str, code: str, log_key: str, heartbeat_key: str, transport_key: str) -> bytes:
    """Return the bytes that each of the three keys signs: for this federation, this code and exactly these keys."""
    return _DOMAIN + encode(
        {
            "code": code,
            "federation": federation,
            "heartbeat_key": heartbeat_key,
            "log_key": log_key,
            "transport_key": transport_key,
        }
    )


def sign_admission(
    federation: str, code: str, log: Signer, heartbeat: Cosigner, transport_seed: str
) -> AdmissionRequest:
    """Return the request of a jurisdiction, signed by its log key, its heartbeat key and its transport key."""
    transport_key = nkey.public_nkey(transport_seed)
    statement = admission_statement(federation, code, log.vkey, heartbeat.vkey, transport_key)
    return AdmissionRequest(
        code=code,
        log_key=log.vkey,
        heartbeat_key=heartbeat.vkey,
        transport_key=transport_key,
        proofs=PossessionProofs(
            log=_text(log.sign(statement)),
            heartbeat=_text(heartbeat.sign(statement)),
            transport=_text(nkey.sign(transport_seed, statement)),
        ),
    )


def verify_admission(federation: str, request: AdmissionRequest) -> None:
    """Check names, types and proofs of the keys; raise AdmissionError where one does not hold."""
    origin = f"{federation}/{request.code}"
    statement = admission_statement(
        federation, request.code, request.log_key, request.heartbeat_key, request.transport_key
    )
    log_key = _note_key("log key", Verifier, request.log_key, origin)
    heartbeat_key = _note_key("heartbeat key", CosignatureVerifier, request.heartbeat_key, heartbeat_key_name(origin))
    if log_key.public_key == heartbeat_key.public_key:
        raise AdmissionError("the log key and the heartbeat key must be two keys (C2SP tlog-cosignature)")
    try:
        proven = nkey.verify(request.transport_key, statement, _signature(request.proofs.transport))
    except nkey.NkeyError as error:
        raise AdmissionError(f"the transport key is wrong: {error}") from error
    _require_proof("transport key", proven)
    _require_proof("log key", log_key.has_signed(statement, _signature(request.proofs.log)))
    _require_proof("heartbeat key", heartbeat_key.has_signed(statement, _signature(request.proofs.heartbeat)))


class TransportKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a jurisdiction hands to the secretariat to connect with another key. Nothing in it is secret."""

    code: Code
    transport_key: NkeyPublic
    replaces: NkeyPublic
    """The transport key in force; with it an old request cannot be sent again."""
    proofs: TransportKeyProofs


def sign_transport_key(federation: str, code: str, log: Signer, replaces: str, seed: str) -> TransportKeyRequest:
    """Return the request for the transport key of a seed, signed by it and by the log's key; `replaces` is public."""
    transport_key = nkey.public_nkey(seed)
    statement = _transport_statement(federation, code, transport_key, replaces)
    proofs = TransportKeyProofs(log=_text(log.sign(statement)), transport=_text(nkey.sign(seed, statement)))
    return TransportKeyRequest(code=code, transport_key=transport_key, replaces=replaces, proofs=proofs)


def verify_transport_key(federation: str, log_key: str, request: TransportKeyRequest) -> None:
    """Check a request with the key of the jurisdiction's log; raise AdmissionError where it does not hold."""
    statement = _transport_statement(federation, request.code, request.transport_key, request.replaces)
    key = _note_key("log key", Verifier, log_key, f"{federation}/{request.code}")
    try:
        proven = nkey.verify(request.transport_key, statement, _signature(request.proofs.transport))
    except nkey.NkeyError as error:
        raise AdmissionError(f"the transport key is wrong: {error}") from error
    _require_proof("transport key", proven)
    _require_proof("log key", key.has_signed(statement, _signature(request.proofs.log)))


def _transport_statement(federation: str, code: str, transport_key: str, replaces: str) -> bytes:
    fields = {"code": code, "federation": federation, "replaces": replaces, "transport_key": transport_key}
    return _TRANSPORT_DOMAIN + encode(fields)


def _note_key(what: str, kind: type[Verifier], text: str, name: str) -> Verifier:
    try:
        key = kind.parse(text)
    except NoteError as error:
        raise AdmissionError(f"the {what} is wrong: {error}") from error
    if key.name != name:
        raise AdmissionError(f"the {what} must be named {name}")
    return key


def _require_proof(what: str, holds: bool) -> None:  # a fact, not a flag
    if not holds:
        raise AdmissionError(f"the {what} is not proven: its signature over the request does not verify")


def _signature(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode("ascii")
