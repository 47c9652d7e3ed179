"""The life of a certificate over HTTP."""


async def test_issued_read_and_revoked(node):
    await node.open_scheme()
    issued = await node.issue()
    assert issued["standing"] == "valid"
    read = await node.get(f"/v1/certificates/{issued['certificate']}")
    assert read.json() == {key: value for key, value in issued.items() if key != "handle"}
