"""A local HTTP server for the fakes of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.platforms.kubernetes.api.resources import Api


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The URL of the application, which serves while the block runs."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(app: web.Application, patience: float = 5.0) -> AsyncIterator[Api]:
    """A client of a fake API server; ``patience`` in seconds."""
    async with serving(app) as url:
        api = Api(Configuration(host=url), patience)
        try:
            yield api
        finally:
            await api.close()
