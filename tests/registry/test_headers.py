"""A node's answers show people's names: nobody on the way keeps one, no page elsewhere reads one."""

from tests.federation.test_headers import require_closed


async def test_what_the_vault_holds_is_kept_by_nobody_on_the_way(node):
    await node.open_scheme()
    issued = await node.issue()
    path = f"/v1/certificates/{issued['certificate']}"
    for asked in (path, f"{path}/history", f"{path}/vault", f"{path}/erasure", "/v1/nowhere", "/health/ready"):
        answer = await node.get(asked, "clerk", "supervisor")
        require_closed(answer, asked)
        assert answer.headers["cache-control"] == "no-store"
    require_closed(await node.client.get(f"{path}/vault"), path)
