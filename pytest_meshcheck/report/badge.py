"""The badge: the verdict in three words, as shields.io's endpoint format (https://shields.io/badges/endpoint-badge)."""

import msgspec

from pytest_meshcheck.judge.verdict import Verdict
from pytest_meshcheck.report.model import Report
from pytest_meshcheck.report.views import counts, score


class Badge(msgspec.Struct, frozen=True, rename="camel"):
    """An endpoint badge."""

    message: str
    color: str
    label: str = "meshcheck"
    schema_version: int = 1


def badge(report: Report) -> Badge:
    """The badge of a report; ``partial`` says that the mesh does not claim everything that checks need."""
    found, total = counts(report.results), score(report.results)
    message, color = f"{total} conform", "brightgreen"
    if found[Verdict.VIOLATES]:
        message, color = f"{found[Verdict.VIOLATES]} violates", "red"
    elif total.judged == 0:
        message, color = "nothing judged", "lightgrey"
    elif found[Verdict.FIXED]:
        message, color = f"{total} conform, {found[Verdict.FIXED]} fixed", "orange"
    elif found[Verdict.INCONCLUSIVE]:
        message, color = f"{total} conform, {found[Verdict.INCONCLUSIVE]} inconclusive", "orange"
    elif found[Verdict.KNOWN_VIOLATION]:
        color = "yellow"
    partial = ["partial"] if found[Verdict.UNSUPPORTED] else []
    interrupted = [] if report.complete else ["interrupted"]
    if interrupted and color == "brightgreen":
        color = "orange"
    return Badge(", ".join([message, *partial, *interrupted]), color)
