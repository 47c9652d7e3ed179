"""The page of a life: everything that is drawn stands in a table too, and nothing comes from outside."""

import random
import re
import uuid
from datetime import date
from html.parser import HTMLParser
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auditor.archives import write_town
from tests.auditor.test_replay import varied
from tests.events.strategies import structs
from tests.federation.towns import Town, unknown_event
from tomoni.events import Event
from tomoni.events import jurisdiction as j
from tomoni.events.types import OfferedKind
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.timeline.life import Span, certificate_life, issuer_life
from tomoni_auditor.timeline.page import certificate_page, issuer_page
from tomoni_auditor.verify.sources import SourceError
from tomoni_auditor.words import describe


@pytest.fixture
def town():
    return Town("131130")


def written(tmp_path, town):
    return LogFolder(write_town(tmp_path, town) / town.code)


def words_of(page):
    """Return the page as a screen reader has it: its words, the picture's title and text among them."""

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags, self.words = [], []

        def handle_starttag(self, tag, attrs):
            self.tags.append((tag, dict(attrs)))

        def handle_data(self, data):
            self.words.append(data)

    reader = Reader()
    reader.feed(page)
    return reader.tags, "".join(reader.words)


def test_days_of_a_certificate_are_as_the_federation_would_answer_for_them(tmp_path, town):
    certificate, _ = town.issue(certified_on=date(2026, 4, 1), conditional_until=date(2026, 6, 30))
    town.revoke(certificate, effective_on=date(2026, 9, 1))
    life = certificate_life(written(tmp_path, town), town.code, certificate)
    assert life.spans == (
        Span(date(2026, 4, 1), date(2026, 6, 30), "conditional"),
        Span(date(2026, 7, 1), None, "not-valid"),
    )
    town.append(
        town.event(
            j.CertificateConfirmed,
            j.CertificateConfirmedData,
            f"certificate/{certificate}",
            confirmed_on=date(2026, 5, 1),
        )
    )
    life = certificate_life(written(tmp_path, town), town.code, certificate)
    assert life.spans == (
        Span(date(2026, 4, 1), date(2026, 8, 31), "valid"),
        Span(date(2026, 9, 1), None, "not-valid"),
    )
    town.append(unknown_event(town, f"certificate/{certificate}"))
    life = certificate_life(written(tmp_path, town), town.code, certificate)
    assert {span.standing for span in life.spans} == {"unknown"}


def test_a_void_certificate_never_counted(tmp_path, town):
    certificate, _ = town.issue()
    town.revoke(certificate, effect="void", effective_on=date(2026, 4, 1))
    life = certificate_life(written(tmp_path, town), town.code, certificate)
    assert life.spans == (Span(date(2026, 4, 1), None, "not-valid"),)


def test_a_certificates_page_tells_in_tables_all_that_it_draws(tmp_path, town):
    certificate, _ = town.issue(conditional_until=date(2026, 6, 30))
    town.issue()
    town.reissue(certificate)
    town.revoke(certificate)
    life = certificate_life(written(tmp_path, town), town.code, certificate)
    tags, words = words_of(certificate_page(life))
    assert [moment.position for moment in life.moments] == [0, 2, 3]
    assert sum(tag == "circle" for tag, _ in tags) == 3
    assert sum(tag == "rect" for tag, _ in tags) == len(life.spans) + len(life.documents)
    for said in (
        "渋谷区",
        "Shibuya",
        certificate,
        "条件付き",
        "conditional",
        "2026-06-30",
        "再交付",
        "Document replaced",
    ):
        assert said in words, said
    for moment in life.moments:
        assert moment.words.ja in words
        assert moment.words.en in words


def test_no_page_tells_a_handle_or_a_documents_hash(tmp_path, town):
    certificate, handle = town.issue()
    named = [handle, town.documents[certificate], town.reissue(certificate), town.documents[certificate]]
    folder = written(tmp_path, town)
    for page in (
        certificate_page(certificate_life(folder, town.code, certificate)),
        issuer_page(issuer_life(folder, town.code)),
    ):
        assert not [secret for secret in named if secret in page]


def test_an_issuers_page_counts_by_month_and_lists_what_it_declared(tmp_path, town):
    town.append(
        town.event(
            j.SchemeOpened,
            j.SchemeOpenedData,
            "scheme",
            name="<script>alert(1)</script>",
            kinds=(OfferedKind(kind="partnership"),),
            opens_on=date(2026, 4, 1),
        )
    )
    for number in range(5):
        certificate, _ = town.issue()
        if number < 3:
            town.revoke(certificate)
    town.reinstate(next(iter(town.documents)))
    town.declare("131121")
    town.append(b"no event")
    life = issuer_life(written(tmp_path, town), town.code)
    assert (life.issued, life.ended) == ({date(2026, 11, 1): 5}, {date(2026, 11, 1): 2})
    assert [moment.position for moment in life.moments] == [0, 10, 11]
    page = issuer_page(life)
    assert "<script" not in page
    tags, words = words_of(page)
    assert "<script>alert(1)</script>" in words
    assert sum(tag == "circle" for tag, _ in tags) == 2  # what cannot be read has no day
    assert "交付 5件" in words
    assert "No legal event" in words


def test_an_issuer_that_has_written_nothing_has_a_page_that_says_so(tmp_path, town):
    assert "Nothing is written yet" in issuer_page(issuer_life(written(tmp_path, town), town.code))


@pytest.mark.parametrize("seed", range(4))
def test_a_page_loads_nothing_runs_nothing_and_its_picture_has_a_name(tmp_path, town, seed):
    varied(town, random.Random(seed))
    folder = written(tmp_path, town)
    pages = [
        certificate_page(certificate_life(folder, town.code, next(iter(town.documents)))),
        issuer_page(issuer_life(folder, town.code)),
    ]
    for page in pages:
        tags, _ = words_of(page)
        attributes = [name for _, attrs in tags for name in attrs]
        assert not {"src", "href", "xlink:href", "onload", "onclick"} & set(attributes)
        assert not re.search(r"url\(|@import|<script|<link|<iframe|https?:|//", page)
        named = dict(tags)["svg"]["aria-labelledby"].split()
        identities = {attrs.get("id") for _, attrs in tags}
        assert set(named) <= identities
        assert dict(tags)["html"]["lang"] == "ja"
        heads = [attrs for tag, attrs in tags if tag == "th"]
        assert all(attrs == {"scope": "col"} for attrs in heads)
        numbers = [float(value) for value in re.findall(r' (?:x|y|cx|cy|x1|x2|width|height)="([-0-9.]+)"', page)]
        assert all(0 <= number <= 2_000 for number in numbers)


def test_days_far_from_when_anything_was_written_do_not_crush_the_picture(tmp_path, town):
    certificate, _ = town.issue(certified_on=date(2026, 4, 1))
    town.revoke(certificate, effective_on=date(9999, 12, 31))
    page = certificate_page(certificate_life(written(tmp_path, town), town.code, certificate))
    assert "9999-12-31" in page
    months = re.findall(r">(\d{4}-\d{2})<", page)
    assert months
    assert max(months) < "2030-01"


def test_an_unknown_certificate_is_told_to_be_so(tmp_path, town):
    town.issue()
    with pytest.raises(SourceError, match="no certificate"):
        certificate_life(written(tmp_path, town), town.code, str(uuid.uuid4()))


@pytest.mark.parametrize("cls", get_args(Event), ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_type_of_event_has_words_of_its_own_in_both_languages(cls, data):
    words = describe(data.draw(structs(cls)))
    assert words.ja
    assert words.en not in {"", "An entry"}
