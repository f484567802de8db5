"""Sections as one HTML file that needs nothing else: style, script and data are inside.

The page allows itself nothing from outside, and no script or style but its own two, whose hashes
are in its content security policy. Texts are escaped where they are written (Jinja's autoescape)
and shown by the script as text nodes only.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from reports.blocks import Block, Section, Table
from reports.charts.ink import stylesheet
from reports.figures import LONGEST_TEXT, listed, ranged, visible
from reports.html.packing import Packed

FOLDED = 24
"""Rows from which on a table is folded away until it is asked for."""
_SCRIPTS = ("page.js", "texts.js", "filters.js", "browser.js")


@dataclass(frozen=True)
class _Shown:
    """A section as the template wants it."""

    title: str
    anchor: str
    behind: bool
    parts: tuple[tuple[Block, str], ...]
    """Blocks, each with what its fold is called; nothing where it is open."""


def page(
    title: str,
    sections: Sequence[Section],
    samples: Packed | None = None,
    narrow: Mapping[str, str] | None = None,
) -> str:
    """Write a page.

    Args:
        title: Of the page.
        sections: What to read, in order.
        samples: What to browse, where there is something.
        narrow: By name of a chart, its drawing for a phone.
    """
    style = f"{_asset('page.css')}\n{stylesheet()}"
    script = "\n".join(map(_asset, _SCRIPTS))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template("page.html").render(
        title=title,
        sections=list(_shown(sections)),
        samples=samples,
        narrow=narrow or {},
        style=style,
        script=script,
        policy=policy,
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports.html"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "seen": _seen,
        "told": _told,
        "listed": listed,
        "ranged": ranged,
        "kind": lambda one: type(one).__name__,
    }
    return environment


def _seen(text: str) -> str:
    return visible(text, longest=4 * LONGEST_TEXT)


def _told(text: str) -> Markup:
    """Write a sentence with its intervals set apart, so that the words and values stand out."""
    return Markup(_INTERVAL.sub(r'<span class="interval">\g<0></span>', str(escape(_seen(text)))))


_INTERVAL = re.compile(r"\[[-+]?[\d.,]*\d, [-+]?[\d.,]*\d\]")


def _asset(name: str) -> str:
    return (resources.files("reports.html") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _shown(sections: Sequence[Section]) -> Iterator[_Shown]:
    anchors: dict[str, int] = {}
    for section in sections:
        anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        anchors[anchor] = anchors.get(anchor, 0) + 1
        number = f"-{anchors[anchor]}" if anchors[anchor] > 1 else ""
        yield _Shown(section.title, f"{anchor}{number}", section.behind, tuple(_parts(section)))


def _parts(section: Section) -> Iterator[tuple[Block, str]]:
    """Fold tables away that are long, or stand behind the findings; each by itself."""
    for block in section.blocks:
        if isinstance(block, Table) and (section.behind or len(block.rows) >= FOLDED):
            yield block, f"{block.title or section.title}: {len(block.rows)} rows"
        else:
            yield block, ""
