"""Membership of a network: a town joins and leaves by its own word; the federation must accept it as well."""

from datetime import date

import msgspec

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import NetworkJoined, NetworkLeft, NetworkMembershipData
from tomoni_registry.deciding import Command, Refused, refuse_stale


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What the town says about one network; `since` is the day of the last change."""

    version: int = 0
    member: bool = False
    since: date | None = None


class Join(Command, frozen=True, kw_only=True):
    """Be a member from a day on."""

    subject: str
    effective_on: date


class Leave(Command, frozen=True, kw_only=True):
    """Be a member no more from a day on."""

    subject: str
    effective_on: date


def decide(state: Membership, command: Join | Leave) -> tuple[JurisdictionEvent, ...]:
    """Return what happens; raise Refused where nothing may."""
    refuse_stale(command.seen, state.version)
    attributes = command.stamp.attributes(command.subject)
    data = NetworkMembershipData(version=state.version + 1, effective_on=command.effective_on)
    if state.since is not None and command.effective_on < state.since:
        raise Refused(
            "dates-out-of-order", f"the membership last changed on {state.since}: name that day or a later one"
        )
    match command:
        case Join():
            if state.member:
                raise Refused("network-already-joined", "this town has joined the network already")
            return (NetworkJoined(**attributes, data=data),)
        case Leave():
            if not state.member:
                raise Refused("network-not-joined", "this town has not joined the network: there is nothing to leave")
            return (NetworkLeft(**attributes, data=data),)


def evolve(state: Membership, event: JurisdictionEvent) -> Membership:
    """Return the membership after one of its events; other events change nothing."""
    match event:
        case NetworkJoined(data=data):
            return Membership(version=data.version, member=True, since=data.effective_on)
        case NetworkLeft(data=data):
            return Membership(version=data.version, member=False, since=data.effective_on)
        case _:
            return state
