"""How helm is called and what is made of its answers; what it does on a cluster is in tests/e2e."""

import asyncio
import os
from pathlib import Path

import pytest

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.helm import helm, process as helm_program
from pytest_meshcheck.platforms.helm.charts import Source
from pytest_meshcheck.platforms.helm.helm import Helm, Installed, Release

KEY = "-----BEGIN PRIVATE KEY-----\\nMIIsecret\\nmore\\n-----END PRIVATE KEY-----"
HELM = Helm(Path("/kube/config"), "near")
SOURCE = Source("tiny", "1.2.3", "", ("/charts/tiny",))
TELL_VALUES = """
for argument; do case $argument in --values=*)
  file=${argument#--values=}
  echo "$file $(stat -c %a "$file") $(cat "$file")" >> "$0.values"
esac; done
"""


class FakeHelm:
    """The helm on the PATH: a script that writes down how it is called."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "helm"
        self.calls = folder / "helm.calls"
        self.values = folder / "helm.values"

    def does(self, script: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$*" >> "$0.calls"\n{script}\n')
        self.program.chmod(0o755)

    def called(self) -> list[list[str]]:
        return [line.split() for line in self.calls.read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHelm:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return FakeHelm(tmp_path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo v3.7.2+g663a896", r"helm 3\.7 is too old, 3\.8 or newer is needed: update it \(https://"),
        ("echo Client: v2.17.0+gbf0e5d3", r"helm 2\.17 is too old"),
        ("echo nonsense", r"helm reports 'nonsense' instead of a version: reinstall it \(https://"),
        ("echo Error: bad plugin >&2; exit 1", r"helm does not work: bad plugin: reinstall it \(https://"),
    ],
)
def test_a_helm_that_cannot_be_used(fake: FakeHelm, script: str, said: str) -> None:
    fake.does(script)
    with pytest.raises(MeshUnavailable, match=said):
        helm.require()


def test_no_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeshUnavailable, match=r"^no program helm on the PATH: install it \(https://[^\n]*\)$"):
        helm.require()


@pytest.mark.parametrize("version", ["v3.8.0+gd141386", "v3.19", "v3.19.5+g4eb6a0f", "v4.0.0+g99cd196"])
def test_a_helm_that_will_do(fake: FakeHelm, version: str) -> None:
    fake.does(f"echo {version}")
    helm.require()


# what helm says: what of it is told
COMPLAINTS = {
    "Error: INSTALLATION FAILED: no": "INSTALLATION FAILED: no",
    "WARNING: Kubernetes configuration file is group-readable.\nError: no\n": "no",
    "W0801 10:00:00.000000 1 warnings.go:70] old\nError: no": "no",
    "Error: values don't meet the schema:\ntiny:\n- port: is required\n": (
        "values don't meet the schema: tiny: - port: is required"
    ),
    "usage\n\nsomething else": "usage something else",
    "": "it said nothing",
    f"Error: bad value {KEY} in a\nb\nc\n": "bad value [private key] in a b c",
    "Error: bad value\n-----BEGIN PRIVATE KEY-----\na\nb\nc\nd": "bad value [private key]",
}


@pytest.mark.parametrize("text", COMPLAINTS)
def test_a_complaint_is_one_line_without_keys(text: str) -> None:
    assert helm_program.complaint(text) == COMPLAINTS[text]


def test_the_configuration_of_the_user_counts_but_not_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"HELM_CACHE_HOME": "/cache", "HELM_DRIVER": "configmap", "HTTPS_PROXY": "http://proxy"}
    theirs = {"HELM_KUBECONTEXT": "x", "HELM_KUBEAPISERVER": "x", "HELM_NAMESPACE": "x", "HELM_DEBUG": "true"}
    for name, value in (ours | theirs).items():
        monkeypatch.setenv(name, value)
    environment = helm_program.environment(HELM_CACHE_HOME="/other")
    assert environment.items() >= (ours | {"HELM_CACHE_HOME": "/other"}).items()
    assert not theirs.keys() & environment.keys()


@pytest.mark.asyncio
async def test_values_are_in_private_files_for_the_time_of_the_call(fake: FakeHelm) -> None:
    fake.does(TELL_VALUES)
    release = Release("mine", "tiny", "there", {"key": KEY}, ({"key": None},))
    await HELM.install(release, SOURCE, wait=90)
    (call,) = fake.called()
    assert call[:3] == ["upgrade", "mine", "/charts/tiny"]
    wanted = {"--namespace=there", "--install", "--create-namespace", "--reset-values", "--wait", "--timeout=90.000s"}
    assert wanted | {"--kube-context=near"} <= set(call)
    assert "PRIVATE" not in " ".join(call)
    base, over = (line.split(" ", 2) for line in fake.values.read_text().splitlines())
    assert (base[1], over[1:]) == ("600", ["600", '{"key": null}'])
    assert KEY.split("\\n", maxsplit=1)[0] in base[2]
    assert not Path(base[0]).parent.exists()


@pytest.mark.asyncio
async def test_several_kubeconfigs(fake: FakeHelm) -> None:
    fake.does('echo "$KUBECONFIG" > "$0.kubeconfig"')
    await Helm(Path("/kube/near:/kube/far"), "near").uninstall("mine", "there")
    assert fake.program.with_name("helm.kubeconfig").read_text() == "/kube/near:/kube/far\n"
    assert not [word for word in fake.called()[0] if word.startswith("--kubeconfig")]


@pytest.mark.asyncio
async def test_an_upgrade_neither_installs_nor_waits(fake: FakeHelm) -> None:
    fake.does("")
    await HELM.upgrade(Release("mine", "tiny", "there"), SOURCE)
    (call,) = fake.called()
    assert not [word for word in call if word.startswith(("--install", "--wait", "--create"))]


@pytest.mark.asyncio
async def test_what_helm_refuses_is_inconclusive(fake: FakeHelm) -> None:
    fake.does("echo Error: UPGRADE FAILED: the cluster says no >&2; exit 1")
    with pytest.raises(Inconclusive) as raised:
        await HELM.install(Release("mine", "tiny", "there"), SOURCE)
    assert str(raised.value) == "helm cannot install mine (tiny 1.2.3) in there: UPGRADE FAILED: the cluster says no"


@pytest.mark.asyncio
async def test_a_missing_helm_is_inconclusive_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Inconclusive, match="helm cannot be started: No such file"):
        await HELM.releases()


@pytest.mark.asyncio
async def test_uninstalling_what_is_gone(fake: FakeHelm) -> None:
    fake.does("echo Error: uninstall: Release not loaded: mine: release: not found >&2; exit 1")
    await HELM.uninstall("mine", "there")
    fake.does("echo Error: no right to do so >&2; exit 1")
    with pytest.raises(Inconclusive, match="helm cannot uninstall mine in there: no right to do so"):
        await HELM.uninstall("mine", "there")


@pytest.mark.parametrize(
    ("told", "chart", "version"),
    [
        ("istiod-1.30.3", "istiod", "1.30.3"),
        ("linkerd2-cni-30.12.2", "linkerd2-cni", "30.12.2"),
        ("cilium-1.20.0-pre.3", "cilium", "1.20.0-pre.3"),
        ("cert-manager-v1.18.2+build", "cert-manager", "v1.18.2+build"),
        ("nothing", "nothing", ""),
    ],
)
@pytest.mark.asyncio
async def test_releases(fake: FakeHelm, told: str, chart: str, version: str) -> None:
    entry = f'"name":"a","namespace":"b","revision":"3","status":"deployed","chart":"{told}","app_version":"x"'
    fake.does(f"echo '[{{{entry}}}]'")
    assert await HELM.releases("b") == [Installed("a", "b", chart, version, "x", "deployed", 3)]
    assert "--namespace=b" in fake.called()[0]


@pytest.mark.asyncio
async def test_no_values(fake: FakeHelm) -> None:
    fake.does("echo null")
    assert await HELM.values("a", "b") == {}


def ended(pid: int) -> bool:
    """Whether a process runs no more; one whose parent has not asked for it yet is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children() -> set[str]:
    """The processes that this one has started."""
    return {pid for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()}


async def cancelled_call(fake: FakeHelm, script: str, *, starting: bool = False) -> list[int]:
    """A call that is cancelled once a child of helm runs; the process ids of both.

    Args:
        fake: The helm.
        script: What it does first.
        starting: The event loop has no time to notice before that that helm was started.
    """
    started = fake.program.with_name("started")
    os.mkfifo(started)
    fake.does(f"{script}\nsh -c 'echo $$ $PPID > {started}; exec sleep 1000' &\nwait")
    before = children()
    call = asyncio.create_task(HELM.install(Release("mine", "tiny", "there"), SOURCE))
    while not children() - before:  # noqa: ASYNC110 - not one turn of the event loop more than it needs
        await asyncio.sleep(0)
    told = started.read_text() if starting else await asyncio.to_thread(started.read_text)
    pids = [int(pid) for pid in told.split()]
    assert not any(map(ended, pids))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(60):
            await call
    return pids


@pytest.mark.asyncio
async def test_a_cancelled_helm_may_say_that_its_release_failed(fake: FakeHelm) -> None:
    noted = fake.program.with_name("noted")
    pids = await cancelled_call(fake, f"trap 'echo failed > {noted}; exit 1' TERM")
    assert all(map(ended, pids))
    assert noted.read_text() == "failed\n"


@pytest.mark.asyncio
async def test_a_cancelled_helm_that_goes_on_is_killed(fake: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm_program, "GRACE", 0.1)
    assert all(map(ended, await cancelled_call(fake, "trap '' TERM")))


@pytest.mark.asyncio
async def test_a_helm_that_is_cancelled_while_it_starts_leaves_nothing_behind(fake: FakeHelm) -> None:
    assert all(map(ended, await cancelled_call(fake, "", starting=True)))
