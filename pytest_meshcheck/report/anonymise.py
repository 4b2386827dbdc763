"""Removal of machine-specific details from a report: paths, the name of the context, images.

If in doubt it removes: only the last part of anything that looks like a local path is kept.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec

from pytest_meshcheck.checks.verdict import Result
from pytest_meshcheck.report.model import Report
from pytest_meshcheck.report.views import summarised
from pytest_meshcheck.report.writer import without_secrets

CLUSTER = "a cluster"
SUITE = ("--pyargs", "pytest_meshcheck.conformance")
"""The options that select the built-in suite on any machine."""

_PART = r"[^\s/'\"`,;:()\[\]{}<>|]"
_LOCAL_PATH = re.compile(rf"(?<![\w:/.@%-])/(?!apis?/)(?:{_PART}+/)+{_PART}*")
"""An absolute path of two or more parts that is neither in a URL nor a resource of the API server."""

_ADDRESS = re.compile(r"\w+://(?:\d{1,3}\.){3}\d{1,3}(?=[:/\s]|$)")
"""The start of a URL with an address for a host, such as that of a pod."""

_CONTEXT = re.compile(r"context (?P<name>.*?)(?P<version> \(Kubernetes [^()]*\))?")
"""The description of an existing cluster; its context may be named after a host, an account or a person."""

_PLACE = re.compile(r"--mesh-[a-z-]+=(.+)", re.DOTALL)
"""An option for the location of a run, or for its sources."""

_OWN_SWITCHES = ("--mesh-slow", "--mesh-installed", "--mesh-allow-disruption")
"""Options that affect the run itself, not its location."""


def without_machine(report: Report) -> Report:
    """The report without machine-specific details and without secrets.

    Commands that repeat a check work elsewhere: cluster, charts, values and images are the reader's own. The doctor's
    findings, which name the workloads of a cluster, are left out.
    """
    local = _names(report)
    platform = local.get(report.platform, report.platform)
    steps = {_cleaned(step, local): seconds for step, seconds in report.steps.items()}
    results = tuple(_everybodys(report, result, local) for result in report.results)
    cleaned = msgspec.structs.replace(report, platform=platform, steps=steps, results=results, doctor=msgspec.UNSET)
    return without_secrets(cleaned if report.summary is msgspec.UNSET else summarised(cleaned))


def _names(report: Report) -> dict[str, str]:
    """Machine-specific names with their replacements, the longest first, as one may be part of another."""
    given = [_PLACE.fullmatch(text) for result in report.results for text in shlex.split(result.reproduce)]
    found = {place[1]: PurePosixPath(place[1]).name for place in given if place}
    found = {name: last for name, last in found.items() if last not in ("", name)}
    if context := _CONTEXT.fullmatch(report.platform):
        anonymous = f"{CLUSTER}{context['version'] or ''}"
        found |= {report.platform: anonymous, f"context {context['name']}": CLUSTER, context["name"]: CLUSTER}
    return {name: found[name] for name in sorted(found, key=len, reverse=True)}


def _everybodys(report: Report, result: Result, local: Mapping[str, str]) -> Result:
    texts = {name: _cleaned(getattr(result, name), local) for name in ("expected", "actual", "reason")}
    measured = {
        name: _cleaned(value, local) if isinstance(value, str) else value for name, value in result.measured.items()
    }
    command = _command(report, result) if result.reproduce else ""
    return msgspec.structs.replace(result, **texts, measured=measured, reproduce=command, evidence="")


def _cleaned(text: str, local: Mapping[str, str]) -> str:
    for name, instead in local.items():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead.replace("\\", r"\\"), text)
    text = _ADDRESS.sub("<address>", text)
    return _LOCAL_PATH.sub(lambda path: PurePosixPath(path[0]).name, text)


def _command(report: Report, result: Result) -> str:
    given = shlex.split(result.reproduce)
    switches = [switch for switch in _OWN_SWITCHES if switch in given]
    version = "" if "--mesh-installed" in switches else f"@{report.mesh.version}"
    suite = SUITE if "--pyargs" in given and any(text.startswith(SUITE[1]) for text in given) else ()
    return " ".join(("pytest", *suite, f"--mesh={report.mesh.name}{version}", *switches, f"-k '{result.id}'"))
