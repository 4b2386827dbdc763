"""report.html: one self-contained page, without scripts, for phones and desktops, in light and dark."""

from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.doctor.finding import tally
from pytest_meshcheck.report import baseline, recorded, unjudged, views
from pytest_meshcheck.report.access_matrix import TITLE, access_matrix
from pytest_meshcheck.report.cards import cards
from pytest_meshcheck.report.effects_table import TITLE as EFFECTS, effects_table
from pytest_meshcheck.report.formats import access_picture, description, load_chart, seconds_chart, timeline, verdicts
from pytest_meshcheck.report.formats.words import duration, figure, moment
from pytest_meshcheck.report.model import Change, Observed, Report


def render(report: Report) -> str:
    """The page; all content of the report is escaped."""
    return page("report.html.jinja", report=report)


def page(template: str, **content: Any) -> str:
    """Fill one of the package's templates."""
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    """One for all pages, as it compiles each template once."""
    environment = Environment(
        loader=PackageLoader("pytest_meshcheck.report.formats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, figure=figure, moment=moment, web=web, path=quote, prose=prose)
    environment.filters["first_paragraph"] = description.first_paragraph
    environment.globals.update(
        views=views,
        unjudged=unjudged,
        tally=tally,
        access_matrix=access_matrix,
        access_picture=access_picture,
        access_title=TITLE,
        recorded=recorded,
        effects_table=effects_table,
        effects_title=EFFECTS,
        baseline=baseline,
        verdicts=verdicts,
        looks=verdicts.LOOKS,
        cards=cards,
        timeline=timeline,
        load_chart=load_chart,
        seconds_chart=seconds_chart,
        Verdict=Verdict,
        Change=Change,
        Observed=Observed,
    )
    return environment


def web(url: str) -> str:
    """The URL if it is http or https, otherwise empty: no other scheme becomes a link."""
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
