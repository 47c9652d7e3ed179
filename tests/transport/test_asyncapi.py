"""The AsyncAPI document: what stands in docs/ is what the code says, and real events hold to its schemas."""

import json
from pathlib import Path
from typing import get_args

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from tests.events.strategies import structs
from tomoni.events import JurisdictionEvent, encode_event
from tomoni.events.codec import EVENT_TYPES
from tomoni.transport import asyncapi
from tomoni.transport.subjects import code_of

DOCUMENT = json.loads(json.dumps(asyncapi.describe()))
PUBLISHED = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_published_document_is_what_the_code_says():
    assert json.loads(PUBLISHED.read_text("utf-8")) == DOCUMENT, "run `uv run tomoni hub describe > docs/asyncapi.json`"


def test_every_reference_leads_somewhere():
    found = set(references(DOCUMENT))
    assert len(found) > 20
    for reference in found:
        target = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_the_channels_are_the_subjects():
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert set(addresses) == {"events", "heartbeats", "receipts"}
    assert all(code_of(address.replace("{code}", "131130")) == "131130" for address in addresses.values())


@given(st.one_of(*map(structs, get_args(JurisdictionEvent))))
def test_every_event_of_a_jurisdiction_holds_to_the_schema_of_an_entry(event):
    payload = DOCUMENT["components"]["messages"]["entry"]["payload"]
    schema = {**payload, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode_event(event)))


def test_the_schema_refuses_what_is_no_event():
    payload = DOCUMENT["components"]["messages"]["entry"]["payload"]
    schema = {**payload, "components": DOCUMENT["components"]}
    assert not jsonschema.Draft202012Validator(schema).is_valid({"type": next(iter(EVENT_TYPES)), "name": "花子"})
