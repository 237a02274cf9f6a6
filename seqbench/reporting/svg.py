"""A figure as files and as a part of the page: the same bytes for the same data."""

from __future__ import annotations

import io
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from seqbench.reporting import style

PNG_DPI = 120
PNG_COLOURS = 64  # a figure has few: a quarter of the bytes, and nobody can see it
RASTER_DPI = 150  # of what is a picture inside an SVG
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # they differ by version
XLINK = "{http://www.w3.org/1999/xlink}"
ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", XLINK[1:-1])


@dataclass(frozen=True)
class Pictures:
    """One figure, drawn.

    Attributes:
        svg: a file of its own.
        inline: the same, to stand among others in a page.
        rules: the looks that its classes stand for, for the page's style sheet.
        png: the same as pixels.
    """

    svg: str
    inline: str
    rules: str
    png: bytes


def pictures(figure: Figure, name: str) -> Pictures:
    """Draw a figure.

    Args:
        name: another for each figure of a page: ids and classes are made of it.
    """
    svg, png = io.StringIO(), io.BytesIO()
    with style.drawing(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", dpi=RASTER_DPI, metadata=NO_METADATA)
        figure.set_layout_engine("none")  # all is in its place now, and placing takes long
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    root = ET.fromstring(svg.getvalue())
    _shorten(root)
    whole = ET.tostring(root, encoding="unicode")
    return Pictures(whole, *_inlined(root, name), _fewer_colours(png))


def _fewer_colours(png: io.BytesIO) -> bytes:
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, format="png", optimize=True)
    return small.getvalue()


def _shorten(root: ET.Element) -> None:
    """Coordinates in tenths of a point: far fewer bytes, and nobody can see it."""
    for element in root.iter():
        for name in {"d", "x", "y", "transform"} & element.attrib.keys():
            element.set(name, " ".join(map(_tenths, element.get(name, "").split())))
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        if element.get("id", "").startswith(style.CELL):  # the same for many lines: no id
            element.set("data-cell", element.attrib.pop("id").removeprefix(style.CELL).strip())
        element.text, element.tail = (element.text or "").strip("\n ") or None, None


def _tenths(word: str) -> str:
    try:
        number = float(word)
    except ValueError:  # a letter of a path, or part of a transformation
        return word
    return f"{number:.1f}" if "." in word else word


def _inlined(root: ET.Element, name: str) -> tuple[str, str]:
    """Without names of XML, without the ids that nothing points at, each look written once.

    Returns:
        The SVG, and the rules of its looks.
    """
    pointed = {element.get(f"{XLINK}href", "")[1:] for element in root.iter()}
    pointed |= {element.get("clip-path", "")[5:-1] for element in root.iter()}
    looks: dict[str, str] = {}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if element.get("id") not in pointed:
            element.attrib.pop("id", None)
        if f"{XLINK}href" in element.attrib:
            element.set("href", element.attrib.pop(f"{XLINK}href"))
        if "style" in element.attrib:
            look = _without_font(element.attrib.pop("style"))
            element.set("class", looks.setdefault(look, f"{name}-look{len(looks)}"))
        if "data-cell" in element.attrib:  # what a pointer that rests on it is told
            element.insert(0, ET.Element("title"))
            element[0].text = element.get("data-cell")
    for defs in root.findall("defs"):
        for rule in defs.findall("style"):  # for all that is on the page
            defs.remove(rule)
    rules = "".join(f".{which}{{{look}}}\n" for look, which in looks.items())
    return ET.tostring(root, encoding="unicode"), rules


def _without_font(look: str) -> str:
    """The page's own font family, in the figure's sizes."""
    return ";".join(rule for rule in look.split("; ") if not rule.startswith("font-family"))
