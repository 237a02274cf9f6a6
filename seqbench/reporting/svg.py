"""A figure as files and as a part of the page: the same bytes for the same data."""

from __future__ import annotations

import io
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from seqbench.reporting import style

PNG_DPI = 100
PNG_COLOURS = 64  # a figure has few: a quarter of the bytes, and nobody can see it
RASTER_DPI = 150  # of what is a picture inside an SVG
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # they differ by version
AXES = "axes:"  # begins the name of axes, until it is known what they show
BOX = ("x", "y", "width", "height")
HAIR = 0.12  # points: a line drawn so far from its place is drawn in its place
CURVES = set("CQAHVcqahv")  # commands of a path that are no straight lines from point to point
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
ET.register_namespace("", SVG[1:-1])
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
        figure.set_layout_engine(None)  # all is in its place now, and placing takes long
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
    _unclip(root)
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


def _unclip(root: ET.Element) -> None:
    """What lies inside its panel need not be cut off at its edges."""
    panels = {
        f"url(#{clip.get('id')})": [float(clip[0].get(side, 0)) for side in BOX]
        for clip in root.iter(f"{SVG}clipPath")
        if len(clip) and clip[0].tag == f"{SVG}rect"
    }
    for element in root.iter(f"{SVG}path"):
        left, top, width, height = panels.get(element.get("clip-path", ""), (0, 0, -1, -1))
        words = element.get("d", "").split()
        if width < 0 or set(words) & CURVES:
            continue
        points = [(float(x), float(y)) for letter, x, y in _commands(words) if letter != "z"]
        if all(-1 < x - left < width + 1 and -1 < y - top < height + 1 for x, y in points):
            del element.attrib["clip-path"]


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
    if set(words) & CURVES:
        return path
    told: list[str] = []
    for is_closed, line in _lines(words):
        points = np.rint(10 * _needed(np.array(line))).astype(int)
        start, steps = points[0], np.diff(points, axis=0)
        told.append("M" + _numbers(start))
        told += ["l" + _numbers(steps.ravel())] if len(steps) else []
        told += ["z"] if is_closed else []
    return "".join(told)


def _lines(words: list[str]) -> Iterator[tuple[bool, list[tuple[float, float]]]]:
    """The lines of a path, and whether each is closed."""
    line: list[tuple[float, float]] = []
    for letter, x, y in _commands(words):
        if letter != "L" and line:
            yield letter == "z", line
            line = []
        if letter != "z":
            line.append((float(x), float(y)))
    if line:
        yield False, line


def _needed(line: np.ndarray) -> np.ndarray:
    """The points without which a line would lie elsewhere by more than HAIR (Ramer 1972, Douglas &
    Peucker 1973)."""
    keep, parts = {0, len(line) - 1}, [(0, len(line) - 1)]
    while parts:
        a, b = parts.pop()
        if b - a < 2:
            continue
        along, inner = line[b] - line[a], line[a + 1 : b] - line[a]
        length = np.hypot(*along)
        across = np.abs(inner @ [-along[1], along[0]]) / length if length else np.hypot(*inner.T)
        far = int(across.argmax())
        if across[far] > HAIR:
            keep.add(a + 1 + far)
            parts += [(a, a + 1 + far), (a + 1 + far, b)]
    return line[sorted(keep)]


def _numbers(tenths: np.ndarray) -> str:
    """Numbers as a path has them: 147 -> 14.7, and no space before a minus."""
    words = (f"{one / 10:.1f}".removesuffix(".0") for one in tenths)
    return " ".join(words).replace(" -", "-")


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


def _without_font(look: str) -> str:
    """The page's own font family, in the figure's sizes."""
    return ";".join(rule for rule in look.split("; ") if not rule.startswith("font-family"))
