"""What every drawing must be, whatever it shows."""

import re
from xml.etree import ElementTree

from reports.blocks import Chart

SPACE = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "g", "path", "rect", "circle", "text"}
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def sound(chart: Chart) -> ElementTree.Element:
    """Check a drawing: XML of a few elements, nothing that acts, styles or points outside."""
    root = ElementTree.fromstring(chart.svg)
    for element in root.iter():
        assert element.tag.removeprefix(SPACE) in ELEMENTS
        for name, value in element.attrib.items():
            assert name not in ("style", "id", "href") and not name.startswith(("on", "{"))
            assert "url(" not in value
            if name not in ("class", "font-family"):
                assert not _NUMBER.search(value), f"{name}={value}"
    assert root.attrib["role"] == "img"
    assert root[0].tag == f"{SPACE}title" and root[0].text
    assert root[1].tag == f"{SPACE}desc" and root[1].text
    assert re.fullmatch(r"[a-z0-9-]+", chart.name)
    assert chart.alt and chart.title
    return root


def texts(chart: Chart) -> list[str]:
    """All that is written in a drawing, without what only a pointer shows."""
    root = ElementTree.fromstring(chart.svg)
    return [element.text or "" for element in root.iter(f"{SPACE}text")]


def titles(chart: Chart) -> list[str]:
    """All that a pointer shows."""
    root = ElementTree.fromstring(chart.svg)
    return [element.text or "" for element in root.iter(f"{SPACE}title")]
