"""A run with charts, values, images and wheels of one's own, for which nothing is fetched."""

import pytest

from tests.programs import Programs

from .conftest import Quick, Suite

CHARTS = ("base", "istiod")


@pytest.fixture
def charted(suite: Suite, programs: Programs) -> Suite:
    """A project with the charts of Istio."""
    programs.add("helm", "echo v3.19.5")
    suite.write("conforms")
    for chart in CHARTS:
        folder = suite.path / "charts" / "1.30.3" / chart
        folder.mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {chart}\nversion: 1.0.0\nappVersion: 1.0.0\n")
    return suite


def test_values_for_a_chart_that_is_not_there(charted: Suite, quick: Quick) -> None:
    (charted.path / "values.yaml").write_text("{istio-base: {a: 1}, ztunnel: {}, '*': {}, istiodd: {}}")
    result = quick("--mesh=istio", "--mesh-charts=charts", "--mesh-values=values.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "no chart 'istio-base', 'istiodd'; there are base, cni, istiod, ztunnel, and '[*]' for every chart"
    result.stderr.fnmatch_lines([f"ERROR: --mesh-values: values.yaml: {said}"])
