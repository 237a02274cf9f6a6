"""A figure as files and as a part of the page: the same bytes for the same data."""

from __future__ import annotations

import io
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from seqbench.reporting import style

PNG_DPI = 120
PNG_COLOURS = 64  # a figure has few: a quarter of the bytes, and nobody can see it
RASTER_DPI = 150  # of what is a picture inside an SVG
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # they differ by version
AXES = "axes:"  # begins the name of axes, until it is known what they show
XLINK = "{http://www.w3.org/1999/xlink}"
ET.register_namespace("", "http://www.w3.org/2000/svg")
ET.register_namespace("xlink", XLINK[1:-1])


@dataclass(frozen=True)
class Pictures:
    """One figure, drawn.

    Attributes:
        svg: a file of its own.
        inline: the same, to stand among others in a page.
        rules: class -> the look that it stands for, for the page's style sheet.
        png: the same as pixels.
    """

    svg: str
    inline: str
    rules: dict[str, str]
    png: bytes


def pictures(figure: Figure, name: str) -> Pictures:
    """Draw a figure.

    Args:
        name: another for each figure of a page: ids and classes are made of it.
    """
    svg, png = io.StringIO(), io.BytesIO()
    for i, ax in enumerate(figure.axes):
        ax.set_gid(f"{AXES}{i}")
    with style.drawing(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", dpi=RASTER_DPI, metadata=NO_METADATA)
        figure.set_layout_engine("none")  # all is in its place now, and placing takes long
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    root = ET.fromstring(svg.getvalue())
    _shorten(root)
    _measure(root, figure)
    whole = ET.tostring(root, encoding="unicode")
    return Pictures(whole, *_inlined(root), _fewer_colours(png))


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


def _measure(root: ET.Element, figure: Figure) -> None:
    """Say of axes with cells in them where they lie and what they show, for a pointer in them."""
    width, height = (72 * inches for inches in figure.get_size_inches())
    for element in root.iter():
        if not element.get("id", "").startswith(AXES):
            continue
        ax = figure.axes[int(element.attrib.pop("id").removeprefix(AXES))]
        if not any(inner.get("data-cell") for inner in element.iter()):
            continue
        box = ax.get_position()
        place = box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height
        element.set("data-box", " ".join(f"{one:.1f}" for one in place))
        for name, axis, limits in (("x", ax.xaxis, ax.get_xlim()), ("y", ax.yaxis, ax.get_ylim())):
            element.set(f"data-{name}", f"{limits[0]:.6g} {limits[1]:.6g} {axis.get_scale()}")


def _tenths(word: str) -> str:
    try:
        number = float(word)
    except ValueError:  # a letter of a path, or part of a transformation
        return word
    return f"{number:.1f}" if "." in word else word


def _inlined(root: ET.Element) -> tuple[str, dict[str, str]]:
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
            element.set("class", looks.setdefault(look, _class_of(look)))
        if element.tag == "path":
            element.set("d", _relative(element.get("d", "")))
        if "data-cell" in element.attrib:  # what a pointer that rests on it is told
            element.insert(0, ET.Element("title"))
            element[0].text = element.get("data-cell")
    for defs in root.findall("defs"):
        for rule in defs.findall("style"):  # for all that is on the page
            defs.remove(rule)
    _unwrap(root)
    return ET.tostring(root, encoding="unicode"), {which: look for look, which in looks.items()}


def _class_of(look: str) -> str:
    """Another for each look, the same in every figure."""
    return "k" + b32encode(sha256(look.encode()).digest()).decode()[:6].lower()


def _unwrap(element: ET.Element) -> None:
    """Groups that say nothing go; what is in them stays in its order."""
    for child in list(element):
        _unwrap(child)
        if child.tag == "g" and not child.attrib:
            at = list(element).index(child)
            element.remove(child)
            for inner in reversed(list(child)):
                element.insert(at, inner)


def _relative(path: str) -> str:
    """A path of straight lines by the steps from point to point, which are shorter to write."""
    words = path.split()
    if set(words) & set("CQAHVcqahv"):
        return path
    told, at = [], (0, 0)
    for letter, x, y in _commands(words):
        if letter == "z":
            told.append("z")
            continue
        here = round(10 * float(x)), round(10 * float(y))
        step = here if letter == "M" else (here[0] - at[0], here[1] - at[1])
        told.append(f"{letter if letter == 'M' else 'l'}{_number(step[0])} {_number(step[1])}")
        at = here
    return "".join(told)


def _commands(words: list[str]) -> Iterator[tuple[str, str, str]]:
    """The letter and the point of each command; a letter that is left out is the one before."""
    letter, rest = "M", iter(words)
    for word in rest:
        if word in "MLz":
            letter = word
            if letter == "z":
                yield "z", "", ""
                continue
            word = next(rest)
        yield letter, word, next(rest)


def _number(tenths: int) -> str:
    return f"{tenths / 10:.1f}".removesuffix(".0")


def _without_font(look: str) -> str:
    """The page's own font family, in the figure's sizes."""
    return ";".join(rule for rule in look.split("; ") if not rule.startswith("font-family"))
