"""Plans of statements as services get them: made for the values at hand, and kept for whatever values come."""

import json

PLANS = ("force_custom_plan", "force_generic_plan")
"""A prepared statement has both: PostgreSQL plans it for the values a few times, then once for all."""


async def plan_nodes(connection, query, *arguments):
    """Return the nodes of both plans of a statement."""
    nodes = []
    async with connection.transaction():
        await connection.execute(f"PREPARE hot AS {query}")
        given = f"({', '.join(_literal(one) for one in arguments)})" if arguments else ""
        for mode in PLANS:
            await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            found = await connection.fetchval(f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE hot{given}")
            nodes += _flat(json.loads(found)[0]["Plan"])
        await connection.execute("DEALLOCATE hot")
    return nodes


def read_whole(nodes):
    """Return the tables that a plan reads from end to end."""
    return {f"{node['Schema']}.{node['Relation Name']}" for node in nodes if node["Node Type"] == "Seq Scan"}


def compared_pairwise(nodes):
    """Return the conditions for which every row of one side is compared with every row of the other."""
    return [node["Join Filter"] for node in nodes if node["Node Type"] == "Nested Loop" and "Join Filter" in node]


def _flat(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _flat(child)


def _literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ", ".join(_element(one) for one in value) + "}'"
    return f"'{_text(value)}'"


def _element(value):
    return "NULL" if value is None else '"' + _text(value).replace("\\", "\\\\") + '"'


def _text(value):
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)
