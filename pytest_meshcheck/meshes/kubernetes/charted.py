"""The charts of a mesh: versions and values."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.charts import Charts, Source, bare
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.helm.values import overrides


class Charted(ABC):
    """A mesh that consists of Helm charts.

    Attributes:
        repository: The URL of its chart repository.
        newest: The default version.
        asked: The version that the user named; None for any version.
        version: The version that the charts install.
    """

    repository: ClassVar[str]
    newest: ClassVar[str]

    def __init__(self, request: MeshRequest) -> None:
        self.asked = request.version
        self.version = self._wanted = request.version or self.newest
        self._values = [request.values]
        self._charts = Charts(self.repository, request.charts)

    @abstractmethod
    def releases(self) -> Sequence[Release]:
        """The charts in order of installation; ``version`` and ``authority`` are known."""

    @property
    def charts(self) -> Collection[str]:
        """The charts that ``--mesh-values`` accepts."""
        return {release.chart for release in self.releases()}

    def tag(self) -> str:
        """The version of the images if values override that of the charts; otherwise empty."""
        return ""

    def spelt(self, version: str) -> str:
        """A version as the charts spell it."""
        return bare(version)

    def override(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Override the adapter's values and earlier overrides, by chart or ``*`` for every chart."""
        self._values.append(values)

    def overrides_of(self, release: Release) -> tuple[Mapping[str, Any], ...]:
        """The overrides of a release's values; later ones win."""
        return tuple(one for values in self._values for one in overrides(values, release.chart))

    def resolve(self) -> None:
        """Find the charts and the version that they install; MeshUnavailable if there are none."""
        sources = [self.source(release) for release in self.releases()]
        self.version = self.tag() or sources[-1].installs

    def switch_version(self, version: str) -> None:
        """Switch ``releases`` to another version; MeshUnavailable if there are no charts of it."""
        before, self._wanted = self._wanted, version
        try:
            self.resolve()
        except MeshUnavailable:
            self._wanted = before
            raise

    def source(self, release: Release) -> Source:
        """The location of a release's chart; MeshUnavailable if there is none of that version."""
        return self._charts.resolve(release.chart, self._wanted, self.spelt(self._wanted))

    def recipe(self) -> str:
        """An identifier of everything that determines the installation."""
        parts = [[release.chart, release.values, self.overrides_of(release)] for release in self.releases()]
        return hashlib.sha256(msgspec.json.encode([self.version, parts], order="sorted")).hexdigest()
