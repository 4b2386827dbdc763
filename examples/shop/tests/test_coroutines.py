"""The same as coroutines, in the event loop of each test."""

import asyncio

import pytest

from pytest_meshcheck.suite import MeshCluster


@pytest.mark.asyncio
async def test_the_shop_answers_on_its_port(mesh_cluster: MeshCluster, shop: str) -> None:
    async with mesh_cluster.aio.port_forward("service/shop", 80, namespace=shop) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /orders/0 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_two_namespaces_at_a_time(mesh_cluster: MeshCluster) -> None:
    async with mesh_cluster.aio.namespace() as one, mesh_cluster.aio.namespace(enrolled=False) as other:
        names = await asyncio.gather(*(mesh_cluster.aio.kubectl("get", "ns", name, "-oname") for name in (one, other)))
    assert [name.strip() for name in names] == [f"namespace/{one}", f"namespace/{other}"]
