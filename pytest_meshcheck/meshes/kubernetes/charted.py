"""The charts that a mesh is made of: in which version, and with which values."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.charts import Charts, Source, bare
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.helm.values import overrides


class Charted(ABC):
    """What is made of charts.

    Attributes:
        repository: Where its charts are published.
        newest: The version that is installed where none is asked for.
        asked: The version that the user named; None where any will do.
        version: The version of what the charts install.
    """

    repository: ClassVar[str]
    newest: ClassVar[str]

    def __init__(self, order: Order) -> None:
        self.asked = order.version
        self.version = self._wanted = order.version or self.newest
        self._values = [order.values]
        self._charts = Charts(self.repository, order.charts)

    @abstractmethod
    def releases(self) -> Sequence[Release]:
        """The charts in the order in which they are installed; ``version`` and ``authority`` are known."""

    @property
    def charts(self) -> Collection[str]:
        """The charts that values may be given for."""
        return {release.chart for release in self.releases()}

    def tag(self) -> str:
        """The version of the images that values ask for in place of the charts' own; empty where they do not."""
        return ""

    def spelt(self, version: str) -> str:
        """A version in the one way in which charts are called, of all in which it may be written."""
        return bare(version)

    def override(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Have these values, by chart or ``*`` for every chart, overrule the adapter's and those of before."""
        self._values.append(values)

    def overrides_of(self, release: Release) -> tuple[Mapping[str, Any], ...]:
        """What overrules the adapter's own values of a release, each the one before."""
        return tuple(one for values in self._values for one in overrides(values, release.chart))

    def resolve(self) -> None:
        """Find the charts, and take the version from what they install; MeshUnavailable where there are none."""
        sources = [self.source(release) for release in self.releases()]
        self.version = self.tag() or sources[-1].installs

    def become(self, version: str) -> None:
        """Have ``releases`` be of another version from now on; MeshUnavailable where there are no charts of it."""
        before, self._wanted = self._wanted, version
        try:
            self.resolve()
        except MeshUnavailable:
            self._wanted = before
            raise

    def source(self, release: Release) -> Source:
        """Where the chart of a release is; MeshUnavailable where there is none of that version."""
        return self._charts.resolve(release.chart, self._wanted, self.spelt(self._wanted))

    def recipe(self) -> str:
        """Tells one way of installing it from another."""
        parts = [[release.chart, release.values, self.overrides_of(release)] for release in self.releases()]
        return hashlib.sha256(msgspec.json.encode([self.version, parts], order="sorted")).hexdigest()
