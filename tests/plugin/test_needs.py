"""What a check, or a parameter of it, needs of the mesh's documentation."""

from .conftest import Quick, Suite

CHECKS = '''
def with_a_limit(documented):
    return "" if documented.timeout.default else "no limit is documented"


def listed(status):
    return needs(lambda documented: "" if status in documented.retry.statuses else f"{status} cannot be listed")


@needs(with_a_limit)
@check(MUST, "demo.rule")
async def test_limited(mesh):
    """It is cut."""
    expect(1).equals(2)


@pytest.mark.parametrize("status", [pytest.param(one, marks=listed(one)) for one in (418, 503)])
@check(MUST, "demo.rule")
async def test_retried(mesh, status):
    """It is tried again."""
    expect(status).equals(503)
'''


def test_a_check_without_what_it_needs_is_unsupported(suite: Suite, quick: Quick) -> None:
    suite.write(CHECKS)
    assert quick("--mesh=envoy").ret == 0
    assert suite.verdicts() == {
        "demo/limited": "unsupported",
        "demo/retried[418]": "unsupported",
        "demo/retried[503]": "conforms",
    }
    reasons = {name: result["reason"] for name, result in suite.results().items()}
    assert reasons["demo/limited"] == "no limit is documented"
    assert reasons["demo/retried[418]"] == "418 cannot be listed"
