"""Tokens that do not last as long as a run."""

import asyncio
import stat
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from pytest_meshcheck.platforms.kubernetes.api import resources
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from tests.serving import serving

PLUGIN = """#!/bin/sh
echo . >> {calls}
[ $(wc -l < {calls}) != {failing} ] || exit 1
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
  "status": {{"token": "token-'$(wc -l < {calls} | tr -d ' ')'", "expirationTimestamp": "2020-01-01T00:00:00Z"}}}}'
"""
"""An exec plugin whose tokens are expired at once."""


@pytest.mark.parametrize("failing", [None, 2], ids=["", "after a failure"])
@pytest.mark.asyncio
async def test_a_token_of_an_exec_plugin_is_renewed(
    failing: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "RENEWED_EVERY", 0.05)
    renewed = asyncio.Event()

    async def version(request: web.Request) -> web.Response:
        if request.headers["authorization"] not in ("Bearer token-1", f"Bearer token-{failing}"):
            renewed.set()
        return web.json_response({"gitVersion": "v1.34.4"})

    app = web.Application()
    app.router.add_get("/version", version)
    async with serving(app) as url:
        api = await Api.connect(kubeconfig(tmp_path, url, failing), None)
        try:
            async with asyncio.timeout(20):
                while not renewed.is_set():
                    await api.version()
        finally:
            await api.close()


def kubeconfig(folder: Path, url: str, failing: int | None) -> Path:
    """A kubeconfig with such a plugin, of which one call fails."""
    plugin, file = folder / "plugin", folder / "kubeconfig"
    plugin.write_text(PLUGIN.format(calls=folder / "calls", failing=failing), "utf-8")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    how = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"exec": how}}],
    }
    file.write_text(yaml.safe_dump(content), "utf-8")
    return file
