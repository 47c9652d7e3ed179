"""Admission requests: every key proves that its holder asks, for this federation and this code."""

import base64

import msgspec
import pytest

from tomoni import nkey
from tomoni.admission import AdmissionError, AdmissionRequest, sign_admission, verify_admission
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni.tlog.note import generate_signer

FEDERATION = "tomoni.example"
ORIGIN = f"{FEDERATION}/131130"


def request(federation: str = FEDERATION) -> AdmissionRequest:
    return sign_admission(
        federation,
        "131130",
        generate_signer(ORIGIN),
        generate_cosigner(f"{ORIGIN}/heartbeat"),
        nkey.generate_seed(),
    )


def test_a_request_signed_by_its_three_keys_holds() -> None:
    verify_admission(FEDERATION, request())


def test_a_request_to_another_federation_does_not_hold() -> None:
    with pytest.raises(AdmissionError, match="named"):
        verify_admission("other.example", request())
    with pytest.raises(AdmissionError, match="not proven"):
        verify_admission(FEDERATION, request("other.example"))


@pytest.mark.parametrize("field", ["log_key", "heartbeat_key", "transport_key"])
def test_a_key_of_somebody_else_is_not_proven(field: str) -> None:
    mixed = msgspec.structs.replace(request(), **{field: getattr(request(), field)})
    with pytest.raises(AdmissionError, match="not proven"):
        verify_admission(FEDERATION, mixed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"code": "131121"}, "must be named"),
        ({"log_key": "x"}, "log key is wrong"),
        ({"heartbeat_key": "x"}, "heartbeat key is wrong"),
        ({"transport_key": "U" + "A" * 55}, "transport key is wrong"),
        ({"transport_key": "U"}, "transport key is wrong"),
    ],
)
def test_a_request_with_a_wrong_field_is_told(change: dict[str, str], told: str) -> None:
    with pytest.raises(AdmissionError, match=told):
        verify_admission(FEDERATION, msgspec.structs.replace(request(), **change))


def test_the_heartbeat_key_is_of_its_own_type_and_its_own_key() -> None:
    log = generate_signer(ORIGIN)
    wrong_type = msgspec.structs.replace(request(), heartbeat_key=generate_signer(f"{ORIGIN}/heartbeat").vkey)
    with pytest.raises(AdmissionError, match="0x04"):
        verify_admission(FEDERATION, wrong_type)
    seed = base64.b64decode(log.to_text().split("+", 4)[4])[1:]  # PRIVATE+KEY+name+hash+base64(type, seed)
    same_key = Cosigner(f"{ORIGIN}/heartbeat", seed)
    shared = sign_admission(FEDERATION, "131130", log, same_key, nkey.generate_seed())
    with pytest.raises(AdmissionError, match="two keys"):
        verify_admission(FEDERATION, shared)


def test_a_flipped_bit_in_a_proof_is_found() -> None:
    good = request()
    for name in ("log", "heartbeat", "transport"):
        raw = bytearray(base64.b64decode(getattr(good.proofs, name)))
        raw[5] ^= 1
        proofs = msgspec.structs.replace(good.proofs, **{name: base64.b64encode(raw).decode()})
        with pytest.raises(AdmissionError, match="not proven"):
            verify_admission(FEDERATION, msgspec.structs.replace(good, proofs=proofs))


def test_an_nkey_is_checked_by_prefix_and_checksum() -> None:
    good = nkey.public_nkey(nkey.generate_seed())
    assert len(nkey.public_key_bytes(good)) == 32
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    for text in (wrong, "A" + good[1:], good[:-8], "é"):
        with pytest.raises(nkey.NkeyError):
            nkey.public_key_bytes(text)
    with pytest.raises(nkey.NkeyError, match="seed"):
        nkey.public_nkey("SUAAA")
