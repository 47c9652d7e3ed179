"""Hypothesis strategies for every known event, made from the types themselves so that a new one is not forgotten."""

import datetime
import uuid

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

from tomoni.events import EVENT_TYPES, Event
from tomoni.events.vocabulary import CONDITIONS, SERVICES
from tomoni.times import format_time

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
days = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 12, 31))
instants = st.datetimes(timezones=st.just(datetime.UTC)).map(format_time)

_BY_FIELD = {"time": instants, "id": st.builds(lambda n: str(uuid.UUID(int=n)), st.integers(0, 2**128 - 1))}


def _strings(node: mi.StrType) -> st.SearchStrategy[str]:
    if node.pattern is None:
        return texts.map(lambda text: text[: node.max_length or 40])
    if next(iter(SERVICES)) in node.pattern:
        return st.sampled_from(list(SERVICES)) | st.from_regex(r"\Ax-[a-z0-9-]{1,40}\Z")
    if next(iter(CONDITIONS)) in node.pattern:
        return st.sampled_from(list(CONDITIONS))
    return st.from_regex(node.pattern.replace("^", r"\A").replace("$", r"\Z"))


def values(node: mi.Type) -> st.SearchStrategy[object]:
    """Return values of one node of a Struct's type."""
    match node:
        case mi.StrType():
            return _strings(node)
        case mi.IntType():
            return st.integers(node.ge or 0, node.le)
        case mi.BoolType():
            return st.booleans()
        case mi.DateType():
            return days
        case mi.LiteralType():
            return st.sampled_from(node.values)
        case mi.VarTupleType():
            return st.lists(values(node.item_type), min_size=node.min_length or 0, max_size=4).map(tuple)
        case mi.UnionType():
            return st.one_of(*(values(one) for one in node.types if not isinstance(one, mi.UnsetType)))
        case mi.StructType():
            return structs(node.cls)
        case mi.Metadata():
            return values(node.type)
        case _:
            raise TypeError(f"no strategy for {node}")


def structs(cls: type[msgspec.Struct]) -> st.SearchStrategy[object]:
    """Return instances of a Struct; fields that may be left out sometimes are."""
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType)
    required, optional = {}, {}
    for field in info.fields:
        (required if field.required else optional)[field.name] = _BY_FIELD.get(field.name, values(field.type))

    def build(fields: dict[str, object]) -> object:
        try:
            return msgspec.convert(msgspec.to_builtins(cls(**fields)), cls)
        except (msgspec.ValidationError, ValueError):
            return None  # a combination the type itself refuses (no date in a correction, two sorts of issuers)

    return st.fixed_dictionaries(required, optional=optional).map(build).filter(lambda one: one is not None)


def events() -> st.SearchStrategy[Event]:
    """Return events of every known type."""
    return st.one_of(*(structs(cls) for cls in EVENT_TYPES.values()))  # type: ignore[return-value]
