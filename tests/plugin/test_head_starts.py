"""A check with a head start waits while others run, once for each of its parameters."""

from tests.plugin.conftest import Quick, Suite

PARAMETERS = '''
begun = []

async def prepare(mesh, size):
    begun.append(size)
    return 10 * size

@pytest.mark.parametrize("size", [1, 2, pytest.param(3, marks=slow)])
@check(MUST, "demo.rule", head_start=prepare)
async def test_prepared(mesh, head_start, size):
    """It has what was prepared for it."""
    expect(await head_start).equals(10 * size)
    expect(sorted(begun)).equals([1, 2])
'''

SHARED = '''
begun = []

async def prepare(mesh):
    begun.append(mesh)
    return 10

@pytest.mark.parametrize("size", [1, 2])
@check(MUST, "demo.rule", head_start=prepare)
async def test_prepared(mesh, head_start, size):
    """Both parameters have one result."""
    expect(await head_start).equals(10)
    expect(len(begun)).equals(1)
'''


def test_each_selected_parameter_has_a_head_start_of_its_own(suite: Suite, quick: Quick) -> None:
    suite.write(PARAMETERS)
    quick("--mesh=envoy").assert_outcomes(passed=2, deselected=1)


def test_a_parameter_that_it_does_not_name_shares_its_head_start(suite: Suite, quick: Quick) -> None:
    suite.write(SHARED)
    quick("--mesh=envoy").assert_outcomes(passed=2)
