"""``meshcheck.toml``: what it says, and what is refused with its line and the nearest name."""

import re
from pathlib import Path

import pytest

from pytest_meshcheck.checks.access import OUTSIDER, STRANGER
from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.expectations.expected import Expected, Identity, Limit, Once
from pytest_meshcheck.manifests.expectations.reading import FILE, beside, expected_in
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.testbed.trial import stand_ins

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "your-configuration.md"
ORDERS = '[[access]]\nto = "shop/orders:80"\n'


def made(manifests: str = "") -> Plan:
    return plan(objects_in([Text("a.yaml", manifests or (HERE / "shop.yaml").read_text())]), Configured("none", ()))


def expected(content: str) -> Expected:
    return expected_in(Text("k8s/meshcheck.toml", content), made())


REFUSED = {
    # case: content, what is said after the file
    "syntax": ('[[access]]\nto = "shop\n', "2: not TOML: Illegal character '\\n'"),
    "end": ("[[access]]\nto =", "2: not TOML: Invalid value"),
    "table": ('[[acess]]\nto = "shop/orders:80"\n', "1: no key 'acess'; did you mean 'access'?"),
    "top-key": ('\nplaintxt = "refused"\n', "2: no key 'plaintxt'; did you mean 'plaintext'?"),
    "far": ("x = 1\n", "1: no key 'x'; valid: plaintext, access, once, limit, identity, calls"),
    "key": (f"{ORDERS}form = []\n", "3: no key 'form' in [[access]]; did you mean 'from'?"),
    "port": (
        '[[access]]\n# the shop\nto = "shop/order:80"\nfrom = []\n',
        "3: no port 'shop/order:80' in these manifests; did you mean 'shop/orders:80'?",
    ),
    "caller": (
        f'{ORDERS}from = [\n    "stranger",\n    "shop/reports",  # nightly\n]\n',
        "5: no caller 'shop/reports' in these manifests; did you mean 'shop/report'?",
    ),
    "listed-twice": (
        f'{ORDERS}from = ["shop/report",\n  "shop/report"]\n',
        "4: shop/report is in this list twice; remove one of the two",
    ),
    "port-twice": (
        f"{ORDERS}from = []\n\n{ORDERS}from = []\n",
        "6: a second [[access]] for shop/orders:80, first in line 2; make them one",
    ),
    "forbidden": (
        f'{ORDERS}plaintext = "refused"\nfrom = ["outsider"]\n',
        '4: outsider calls in plaintext, which plaintext = "refused" forbids; take it out of the list, or write '
        'plaintext = "allowed" in this [[access]]',
    ),
    "forbidden-everywhere": (
        f'plaintext = "refused"\n{ORDERS}from = ["outsider"]\n',
        '4: outsider calls in plaintext, which plaintext = "refused" forbids; take it out of the list, or write '
        'plaintext = "allowed" in this [[access]]',
    ),
    "nothing-said": (ORDERS, "1: [[access]] says nothing about shop/orders:80; write from, plaintext or both"),
    "no-port": (
        "\n[[access]]\nfrom = []\n",
        '2: [[access]] without to; write a port of a service, such as "shop/orders:8080"',
    ),
    "no-list": (
        f'{ORDERS}from = "shop/report"\n',
        "3: from = 'shop/report'; write a list of callers, such as [\"shop/web\"], or [] for nobody",
    ),
    "plaintext": ('plaintext = "no"\n', '1: plaintext = \'no\'; write "refused" or "allowed"'),
    "one-table": ('[access]\nto = "shop/orders:80"\n', "1: write each entry as a table of its own, [[access]]"),
    "method": (
        '[[once]]\nto = "shop/orders:80"\nmethod = "post"\n',
        "3: method = 'post'; write a method, such as \"POST\"",
    ),
    "path": ('[[once]]\nto = "shop/orders:80"\npath = "pay"\n', "3: path = 'pay'; write a path, such as \"/pay\""),
    "once-twice": (
        '[[once]]\nto = "shop/orders:80"\n[[once]]\nto = "shop/orders:80"\nmethod = "POST"\n',
        "4: a second [[once]] for shop/orders:80, first in line 2; make them one",
    ),
    "no-http": (
        '[[once]]\nto = "shop/orders:9090"\n',
        "2: shop/orders:9090 speaks grpc; [[once]] is for ports of HTTP",
    ),
    "no-seconds": (
        '[[limit]]\nto = "shop/orders:80"\n',
        "1: [[limit]] without seconds; write a number of seconds up to 60",
    ),
    "seconds": (
        '[[limit]]\nto = "shop/orders:80"\nseconds = "5s"\n',
        "3: seconds = '5s'; write a number of seconds up to 60",
    ),
    "workload": (
        '[[identity]]\nof = "shop/order"\nis = "spiffe://a/b"\n',
        "2: no workload 'shop/order' in these manifests; did you mean 'shop/orders'?",
    ),
    "identity-twice": (
        '[[identity]]\nof = "shop/orders"\nis = "a"\n[[identity]]\nof = "shop/orders"\nis = "b"\n',
        "5: a second [[identity]] for shop/orders, first in line 2; make them one",
    ),
    "no-identity": (
        '[[identity]]\nof = "shop/orders"\nis = ""\n',
        "3: is = ''; write an identity as the mesh writes it, such as \"spiffe://cluster.local/ns/shop/sa/web\"",
    ),
    "called": (
        '[[calls]]\nof = "shop/report"\nports = [\n  "shop/order:80",\n]\n',
        "4: no port 'shop/order:80' in these manifests; did you mean 'shop/orders:80'?",
    ),
    "no-calls": (
        '[[calls]]\nof = "shop/report"\nports = "shop/orders:80"\n',
        "3: ports = 'shop/orders:80'; write a list of ports of services, such as [\"shop/orders:8080\"]",
    ),
    "inline": ('access = [{to = "shop/orders:80"}]\n', "1: write each entry as a table of its own, [[access]]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_expected_is_refused_with_its_line(case: str) -> None:
    content, said = REFUSED[case]
    with pytest.raises(ManifestError) as refused:
        expected(content)
    assert str(refused.value) == f"k8s/meshcheck.toml:{said}"


def test_a_file_without_any_expectation_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"^k8s/meshcheck.toml: there is no expectation in it; begin with: mesh"):
        expected("# to do\n")


def test_who_is_listed_is_expected_and_plaintext_where_it_is_not_allowed() -> None:
    found = expected(
        f'plaintext = "refused"\n{ORDERS}from = ["shop/report", "outsider"]\nplaintext = "allowed"\n'
    ).access
    assert {port: (one.callers, one.refuses_plaintext) for port, one in found.items()} == {
        "shop/orders:80": ({"shop/report", "outsider"}, False),
        "shop/orders:9090": (None, True),
    }


def test_without_a_word_about_plaintext_only_the_ports_with_an_entry_are_expected() -> None:
    assert [str(one) for one in expected(f"{ORDERS}from = []\n").access.values()] == ["shop/orders:80"]


def test_requests_and_limits_are_expected() -> None:
    found = expected(
        '[[once]]\nto = "shop/orders:80"\n[[once]]\nto = "shop/orders:80"\nmethod = "PUT"\npath = "/pay"\n'
        '[[limit]]\nto = "shop/orders:80"\nseconds = 2\n'
    )
    assert found.once == (Once("shop/orders:80"), Once("shop/orders:80", "PUT", "/pay"))
    assert found.limits == (Limit("shop/orders:80", 2.0),)
    assert str(found) == "expected (k8s/meshcheck.toml): 2 at most once, 1 limits"


def test_calls_are_said_for_each_workload() -> None:
    found = expected('[[calls]]\nof = "shop/report"\nports = ["shop/orders:80", "shop/orders:9090"]\n')
    assert found.calls == {"shop/report": {"shop/orders:80", "shop/orders:9090"}}
    assert str(found) == "expected (k8s/meshcheck.toml): calls of 1 workloads"


def pod(name: str, port: int) -> str:
    about = f"metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}"
    spec = f"spec: {{selector: {{app: {name}}}, ports: [{{port: {port}}}]}}"
    return f"apiVersion: v1\nkind: Pod\n{about}\nspec: {{}}\n---\napiVersion: v1\nkind: Service\n{about}\n{spec}\n"


def test_the_file_that_is_documented_is_one() -> None:
    ((_, content),) = re.findall(r"^```(toml)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    manifests = "---\n".join(map(pod, ("orders", "frontend", "checkout", "payments"), (8080, 80, 8080, 8080)))
    found = expected_in(Text("meshcheck.toml", content), made(manifests))
    assert {port: (one.callers, one.refuses_plaintext) for port, one in found.access.items()} == {
        "shop/orders:8080": ({"shop/frontend", "shop/checkout"}, True),
        "shop/checkout:8080": (None, True),
        "shop/payments:8080": (None, True),
    }
    assert found.once == (Once("shop/payments:8080", "PUT", "/pay"),)
    assert found.limits == (Limit("shop/payments:8080", 2.0),)
    assert found.calls == {"shop/frontend": {"shop/orders:8080"}, "shop/orders": {"shop/payments:8080"}}
    assert found.identities == (Identity("shop/frontend", "spiffe://cluster.local/ns/shop/sa/frontend"),)


def test_the_callers_without_a_stand_in_are_those_of_a_trial() -> None:
    assert (stand_ins.OUTSIDER.name, stand_ins.STRANGER.name) == (OUTSIDER, STRANGER)


def test_the_file_is_found_beside_the_manifests_of_one_directory(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    assert beside([tmp_path / "a", Path("-")]) is None
    (tmp_path / "b" / FILE).touch()
    assert beside([tmp_path / "a", tmp_path / "b"]) == tmp_path / "b" / FILE
    (tmp_path / "a" / FILE).touch()
    with pytest.raises(ManifestError) as refused:
        beside([tmp_path / "b", tmp_path / "a"])
    assert str(refused.value) == (
        f"{tmp_path}/a/meshcheck.toml: there is {tmp_path}/b/meshcheck.toml too; write one file, and name it with "
        "--mesh-manifests-expect=FILE"
    )
