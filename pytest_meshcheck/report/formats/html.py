"""report.html: one self-contained page, without scripts, for phones and desks, in light and dark."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report import baseline, unjudged, views
from pytest_meshcheck.report.formats import description
from pytest_meshcheck.report.model import Change, Observed, Report

WORDS = {
    Verdict.CONFORMS: "conforms",
    Verdict.VIOLATES: "violates",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNSUPPORTED: "unsupported",
    Verdict.KNOWN_VIOLATION: "known violation",
    Verdict.FIXED: "fixed",
    Verdict.NOT_RUN: "not run",
}


def render(report: Report) -> str:
    """The page. Everything that comes from the report is escaped."""
    return page("report.html.jinja", report=report)


def page(template: str, **content: Any) -> str:
    """Fill one of the package's templates."""
    environment = Environment(
        loader=PackageLoader("pytest_meshcheck.report.formats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, figure=figure, moment=moment, web=web, path=quote, prose=prose)
    environment.filters["first_paragraph"] = description.first_paragraph
    words = {str(verdict): word for verdict, word in WORDS.items()}
    environment.globals.update(
        views=views,
        unjudged=unjudged,
        baseline=baseline,
        Verdict=Verdict,
        Change=Change,
        Observed=Observed,
        words=words,
    )
    return environment.get_template(template).render(**content)


def duration(seconds: float) -> str:
    """Seconds as they are read: ``240 ms``, ``3.2 s``, ``2 min 05 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def figure(value: float | str) -> str:
    """A measured figure: a float with four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def moment(started: str) -> str:
    """An ISO 8601 time as ``2026-03-01 14:05 UTC``; what is not one stays as it is."""
    try:
        return datetime.fromisoformat(started).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return started


def web(url: str) -> str:
    """The address if it is one of a web page, otherwise nothing: no other scheme becomes a link."""
    return url if url.startswith(("https://", "http://")) else ""


def prose(docstring: str) -> Markup:
    """A docstring as paragraphs and quotations."""
    return Markup("\n").join(
        (Markup("<blockquote>{}</blockquote>") if block.quoted else Markup("<p>{}</p>")).format(
            Markup("").join(
                Markup("<code>{}</code>").format(span.text) if span.code else span.text for span in block.spans
            )
        )
        for block in description.blocks(docstring)
    )
