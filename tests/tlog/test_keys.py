"""Keys of notes: their texts, their names, and the curve points that are no keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.tlog.cosignature import COSIGNATURE_V1, CosignatureVerifier, Cosigner, generate_cosigner, parse_verifier
from tomoni.tlog.encoding import encode_base64
from tomoni.tlog.keys import NoteError, PrivateKey, key_type_of, make_key_id
from tomoni.tlog.note import ED25519, Signer, Verifier, generate_signer

# The examples of C2SP signed-note, of Go's checksum database and of the documentation of Go's note package.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
GO_SUM_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

# RFC 8032 §7.1, tests 1 and 2: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)


class TestVerifierKeys:
    @pytest.mark.parametrize("vkey", [C2SP_VKEY, GO_SUM_VKEY, GO_PUBLIC])
    def test_keys_of_others_are_read_and_written_as_they_are(self, vkey: str) -> None:
        assert Verifier.parse(vkey).vkey == vkey

    @given(NAMES, st.binary(min_size=32, max_size=32))
    def test_the_key_id_is_the_hash_of_name_type_and_key(self, name: str, seed: bytes) -> None:
        signer, cosigner = Signer(name, seed), Cosigner(name, seed)
        assert Verifier.parse(signer.vkey).key_id == make_key_id(name, 0x01, signer.public_key)
        assert CosignatureVerifier.parse(cosigner.vkey).key_id == make_key_id(name, 0x04, cosigner.public_key)
        assert signer.key_id != cosigner.key_id

    def test_keys_are_equal_by_name_type_and_bytes(self) -> None:
        signer = generate_signer("a.example")
        same, renamed = Verifier("a.example", signer.public_key), Verifier("b.example", signer.public_key)
        assert len({signer.verifier, same, renamed, CosignatureVerifier("a.example", signer.public_key)}) == 3
        assert signer.verifier != signer.vkey

    @pytest.mark.parametrize(
        "name", ["", "a b", "a+b", "a\u3000b", "a\u00a0b", "a\u2028b", "a\tb", "a\nb", "a\x00b", "\ud800"]
    )
    def test_names_are_not_empty_and_have_no_spaces_plus_signs_or_control_characters(self, name: str) -> None:
        with pytest.raises(NoteError):
            Verifier(name, bytes.fromhex(RFC_8032[0][1]))
        with pytest.raises(NoteError):
            Signer(name, bytes(32))

    @pytest.mark.parametrize(
        "vkey",
        [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # upper case
            "example.com/foo+0530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # another hash
            "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # another name
            "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3Q==",  # 31 bytes
            "example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # another type
        ],
    )
    def test_texts_that_are_no_verifier_key_are_refused(self, vkey: str) -> None:
        with pytest.raises(NoteError):
            Verifier.parse(vkey)

    def test_a_text_gives_the_kind_of_key_that_its_type_names(self) -> None:
        signer, cosigner = generate_signer("a.example"), generate_cosigner("w.example")
        assert type(parse_verifier(signer.vkey)) is Verifier
        assert type(parse_verifier(cosigner.vkey)) is CosignatureVerifier
        assert (key_type_of(signer.vkey), key_type_of(cosigner.vkey)) == (ED25519, COSIGNATURE_V1)
        with pytest.raises(NoteError, match="0x06"):
            parse_verifier(f"w.example+00000000+{encode_base64(bytes([6, *range(32)]))}")


class TestPrivateKeys:
    def test_the_example_of_go_is_read_and_written_as_it_is(self) -> None:
        signer = Signer.parse(GO_PRIVATE)
        assert signer.vkey == GO_PUBLIC
        assert signer.to_text() == GO_PRIVATE

    @pytest.mark.parametrize("make", [generate_signer, generate_cosigner])
    def test_a_new_key_survives_being_written(self, make: type[PrivateKey]) -> None:
        key = make("町.example/131130")
        again = type(key).parse(key.to_text())
        assert again.vkey == key.vkey
        assert again.to_text() == key.to_text()

    @pytest.mark.parametrize(
        "text",
        [
            GO_PUBLIC,
            GO_PRIVATE.replace("c74f20a3", "c74f20a4"),
            GO_PRIVATE.replace("PeterNeumann", "PeterNewman"),
            GO_PRIVATE.replace("AYEK", "BIEK"),
            GO_PRIVATE[:-4],
            GO_PRIVATE + "\n",
            "PRIVATE+KEY+",
        ],
    )
    def test_a_wrong_text_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(NoteError) as caught:
            Signer.parse(text)
        assert "EKFALVFGyN" not in str(caught.value)

    def test_a_key_does_not_show_its_secret(self) -> None:
        signer = Signer.parse(GO_PRIVATE)
        assert repr(signer) == "Signer('PeterNeumann')"
        assert repr(signer.verifier) == f"Verifier('{GO_PUBLIC}')"

    def test_a_seed_has_32_bytes(self) -> None:
        with pytest.raises(NoteError):
            Signer("a.example", bytes(31))


class TestEd25519:
    @pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
    def test_the_vectors_of_rfc_8032(self, seed: str, public: str, message: str, signature: str) -> None:
        signer = Signer("rfc8032.example", bytes.fromhex(seed))
        assert signer.public_key.hex() == public
        assert signer.sign(bytes.fromhex(message)).hex() == signature
        assert signer.verifier.has_signed(bytes.fromhex(message), bytes.fromhex(signature))

    def test_signatures_in_any_other_form_are_refused(self) -> None:
        """The kinds of cases that Wycheproof has: malleable, cut, long, empty, zero, of another message."""
        signer = Signer("a.example", bytes(range(32)))
        good = signer.sign(b"message")
        scalar = int.from_bytes(good[32:], "little")
        malleable = good[:32] + (scalar + GROUP_ORDER).to_bytes(32, "little")
        wrong = [malleable, good[:63], good + b"\0", b"", bytes(64), good[32:] + good[:32], good[:32] + bytes(32)]
        assert signer.verifier.has_signed(b"message", good)
        assert not any(signer.verifier.has_signed(b"message", each) for each in wrong)
        assert not signer.verifier.has_signed(b"massage", good)

    @pytest.mark.parametrize("sign", [0, 1 << 255])
    @pytest.mark.parametrize(
        "y",
        [
            0,
            1,
            FIELD - 1,
            2707385501144840649318225287225658788936804267575313519463743609750303402022,
            FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
            FIELD,
            FIELD + 1,
            2**255 - 1,
        ],
    )
    def test_keys_under_which_anybody_can_sign_or_of_two_forms_are_refused(self, y: int, sign: int) -> None:
        with pytest.raises(NoteError, match="usable point"):
            Verifier("weak.example", (y | sign).to_bytes(32, "little"))

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_a_public_key_has_32_bytes(self, size: int) -> None:
        with pytest.raises(NoteError, match="32 bytes"):
            Verifier("a.example", b"\x09" * size)
