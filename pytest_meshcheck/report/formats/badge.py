"""The badge: the verdict in three words, as shields.io's endpoint format (https://shields.io/badges/endpoint-badge)."""

import msgspec

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.formats.verdicts import LOOKS, worst
from pytest_meshcheck.report.model import Report
from pytest_meshcheck.report.unjudged import commonest
from pytest_meshcheck.report.views import counts, is_whole, score


class Badge(msgspec.Struct, frozen=True, rename="camel"):
    """An endpoint badge."""

    message: str
    color: str
    label: str = "meshcheck"
    schema_version: int = 1


def badge(report: Report) -> Badge:
    """The badge of a report; ``partial`` means that the mesh does not claim everything that checks need."""
    found = counts(report.results)
    unknown = [*([] if report.complete else ["interrupted"]), *_unjudged(report)]
    known = [f"{found[Verdict.VIOLATES]} violates"] if found[Verdict.VIOLATES] else []
    fixed = [f"{found[Verdict.FIXED]} fixed"] if found[Verdict.FIXED] and not known else []
    partial = ["partial"] if found[Verdict.UNSUPPORTED] else []
    if not known and is_whole(report):
        known = [score(report).sentence]
    return Badge(", ".join([*unknown, *known, *fixed, *partial]), _color(report))


def _unjudged(report: Report) -> list[str]:
    total = score(report)
    if not total.unjudged:
        return [] if report.complete else [f"{total.judged} conclusive"]
    why = commonest(report)
    return [f"{total.unjudged} of {total.asked} not conclusive{f' ({why})' if why else ''}"]


def _color(report: Report) -> str:
    verdict = worst(counts(report.results))
    if verdict is Verdict.VIOLATES:
        return LOOKS[verdict].badge
    if verdict is None or score(report).judged == 0:
        return LOOKS[Verdict.NOT_RUN].badge
    return LOOKS[verdict if is_whole(report) else Verdict.INCONCLUSIVE].badge
