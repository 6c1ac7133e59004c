"""A figure of matplotlib as SVG that may lie among others in one page, in a light and a dark one."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from skywork_rb_plugin.report.texts import shown

WIDTH = 4.4  # inches, so that text is readable on a phone

# colours that matplotlib draws with -> what the page makes of them
INK, GRID, PAGE = "#010101", "#020202", "#030303"
HUES = tuple(f"#0400{place:02x}" for place in range(8))
_COLOURS = {INK: "currentColor", GRID: "var(--grid)", PAGE: "var(--page)"}
_COLOURS |= {hue: f"var(--hue-{place})" for place, hue in enumerate(HUES)}
MARKERS = "os^DvPX*"

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "skywork-rb-plugin",
    "text.parse_math": False,  # names are no formulas
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.labelspacing": 0.3,
    "lines.markersize": 5,
    "lines.linewidth": 1.3,
}
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"


@contextmanager
def figure(height: float) -> Iterator[Figure]:
    """An empty figure of WIDTH by `height` inches, with the page's style while it is drawn; without pyplot's state."""
    with matplotlib.rc_context(_STYLE):
        made = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(made)
        yield made


def as_svg(drawn: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element for HTML.

    Args:
        drawn: made in `figure`, within its context.
        name: unique in the page: goes before all its ids.
        title: for readers that do not see it, with `description`: what it shows, in words, with its numbers.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # names may have letters that the font used to lay out lacks; the browser's has them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied.*")
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(buffer.getvalue())
    _drop(root)
    for element in root.iter():
        _own(element, name)
    for text, tag in ((description, "desc"), (title, "title")):
        element = ET.Element(f"{{{_SVG}}}{tag}", id=f"{name}-{tag}")
        element.text = shown(text)
        root.insert(0, element)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    # the page's own namespace needs no prefix
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    return ET.tostring(root, encoding="unicode")


def _drop(root: ET.Element) -> None:
    """Metadata, and style rules that would be the whole page's."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)


def _own(element: ET.Element, name: str) -> None:
    """An element's ids get the figure's name, its colours and its font are the page's."""
    if _HREF in element.attrib:
        element.attrib["href"] = f"#{name}-{element.attrib.pop(_HREF)[1:]}"
    if "id" in element.attrib:
        element.attrib["id"] = f"{name}-{element.attrib['id']}"
    for attribute in ("clip-path", "style"):
        if value := element.attrib.get(attribute):
            value = re.sub(r"url\(#", f"url(#{name}-", value)
            value = re.sub("#[0-9a-f]{6}", lambda found: _COLOURS.get(found[0], found[0]), value)
            element.attrib[attribute] = value.replace("'DejaVu Sans'", "system-ui, sans-serif")
