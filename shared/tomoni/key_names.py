"""How the keys of a log and of a federation are named, in their verifier keys and in notes (C2SP signed-note)."""


def heartbeat_key_name(origin: str) -> str:
    """Return the name of the key for heartbeats of the log of an origin; the log's own key is named by the origin."""
    return f"{origin}/heartbeat"


def receipt_key_name(federation: str) -> str:
    """Return the name of the key for receipts of a federation."""
    return f"{federation}/receipts"
