"""A chart on a real cluster: installed, listed, upgraded and uninstalled."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.helm import helm
from pytest_meshcheck.platforms.helm.charts import Charts, Source
from pytest_meshcheck.platforms.helm.helm import Helm, Installed, Release
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import located
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

from .conftest import Given

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABOUT = """
apiVersion: v2
name: tiny
version: {version}
appVersion: app-{version}
"""

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  values: {{ toJson .Values | quote }}
  version: {{ .Chart.Version }}
"""

NEVER_READY = """
{{ if .Values.balanced }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  type: LoadBalancer
  loadBalancerClass: example.com/none
  ports: [{port: 80}]
{{ end }}
"""


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """A chart in two versions, which writes down its values."""
    folder = tmp_path_factory.mktemp("charts")
    for version in ("1.0.0", "2.0.0"):
        chart = folder / version / "tiny"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(
            f"apiVersion: v2\nname: tiny\nversion: {version}\nappVersion: app-{version}\n"
        )
        (chart / "values.yaml").write_text("kept: 1\ndropped: 2\nlisted: [1, 2]\n")
        (chart / "templates" / "map.yaml").write_text(CONFIG_MAP)
        (chart / "templates" / "service.yaml").write_text(NEVER_READY)
    return Charts("https://charts.invalid", str(folder))


class Place:
    """A namespace for releases, and what is in it."""

    def __init__(self, given: Given, api: Api) -> None:
        self.helm = Helm(located(given.kubeconfig), given.context)
        self.namespace = f"helm-{secrets.token_hex(3)}"
        self.api = api

    async def written(self) -> tuple[str, dict[str, Any]]:
        """Version and values, as the chart got them."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/mine"
        data = (await self.api.request("GET", path))["data"]
        return data["version"], json.loads(data["values"])


@pytest_asyncio.fixture(loop_scope="session")
async def place(given: Given) -> AsyncIterator[Place]:
    """Goes away with everything in it."""
    api = await Api.connect(given.kubeconfig, given.context)
    place = Place(given, api)
    yield place
    await api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}})
    await api.close()


async def test_a_chart_comes_changes_and_goes(charts: Charts, place: Place) -> None:
    helm.require()
    old, new = charts.resolve("tiny", "1.0.0"), charts.resolve("tiny", "app-2.0.0")
    installed = Release("mine", "tiny", place.namespace, {"own": {"a": 1}, "listed": [3]}, ({"own": {"b": 2}},))
    await place.helm.install(installed, old, wait=60)
    assert await place.helm.releases(place.namespace) == [listed(place, old, 1)]
    assert listed(place, old, 1) in await place.helm.releases()
    assert await place.helm.values("mine", place.namespace) == {"own": {"a": 1, "b": 2}, "listed": [3]}
    assert await place.written() == ("1.0.0", {"own": {"a": 1, "b": 2}, "listed": [3], "kept": 1, "dropped": 2})

    await place.helm.upgrade(Release("mine", "tiny", place.namespace, {}, ({"dropped": None},)), new)
    assert await place.helm.releases(place.namespace) == [listed(place, new, 2)]
    assert await place.written() == ("2.0.0", {"kept": 1, "listed": [1, 2]})

    await place.helm.uninstall("mine", place.namespace)
    assert await place.helm.releases(place.namespace) == []
    await place.helm.uninstall("mine", place.namespace)


async def test_an_upgrade_without_values_goes_back_to_those_of_the_chart(charts: Charts, place: Place) -> None:
    source = charts.resolve("tiny", "1.0.0")
    await place.helm.install(Release("mine", "tiny", place.namespace, {"kept": 7}), source)
    await place.helm.install(Release("mine", "tiny", place.namespace), source)
    assert (await place.written())[1]["kept"] == 1
    assert await place.helm.values("mine", place.namespace) == {}


async def test_an_interrupted_installation_can_be_followed_by_another(charts: Charts, place: Place) -> None:
    source = charts.resolve("tiny", "1.0.0")
    balanced = Release("mine", "tiny", place.namespace, {"balanced": True})
    installing = asyncio.create_task(place.helm.install(balanced, source, wait=600))
    await place.api.until(f"/api/v1/namespaces/{place.namespace}/services", "", bool, within=60)
    assert [release.status for release in await place.helm.releases(place.namespace)] == ["pending-install"]
    installing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await installing
    assert [release.status for release in await place.helm.releases(place.namespace)] == ["failed"]
    await place.helm.install(Release("mine", "tiny", place.namespace), source)
    assert await place.helm.releases(place.namespace) == [listed(place, source, 2)]


async def test_what_does_not_get_ready_is_inconclusive(charts: Charts, place: Place) -> None:
    balanced = Release("mine", "tiny", place.namespace, {"balanced": True})
    with pytest.raises(Inconclusive, match=r"helm cannot install mine \(tiny 1\.0\.0\) in .*: .*"):
        await place.helm.install(balanced, charts.resolve("tiny", "1.0.0"), wait=1)


async def test_an_upgrade_of_nothing(charts: Charts, place: Place) -> None:
    with pytest.raises(Inconclusive, match=r"helm cannot upgrade mine \(tiny 1\.0\.0\) .* no deployed releases"):
        await place.helm.upgrade(Release("mine", "tiny", place.namespace), charts.resolve("tiny", "1.0.0"))


def listed(place: Place, source: Source, revision: int) -> Installed:
    return Installed("mine", place.namespace, "tiny", source.version, source.app_version, "deployed", revision)
