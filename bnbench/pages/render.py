"""Self-contained pages: templates filled with escaped text, figures embedded up to a limit.

A page asks the network for nothing, and its Content-Security-Policy forbids it to. Its script is
`tables.js` and, where there are curves to hover over, `curves*.js` with plotly.js: plotly/ holds
version 4.1.1 of the npm package plotly.js-basic-dist-min, embedded compressed.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdict_words import verdict_label
from bnbench.config.labels import count_label
from bnbench.drawing import style
from bnbench.drawing.plots import Drawing
from bnbench.pages.mentions import linked
from bnbench.tracking.stored import PICTURE, DamagedError, content, is_file

HERE = Path(__file__).parent
PLOTLY = HERE / "plotly" / "plotly-basic.min.js"
MAX_BYTES = 6_000_000  # of a page; the figures beyond it are left to other files
MARKUP = 1_500  # bytes around a figure, at most


def render(template: str, sections: Sequence[Mapping[str, Any]], **values: Any) -> str:
    """Fill a template of this folder; of the figures of its sections as many as a page may hold."""
    curved = any(figure.get("curves") for section in sections for figure in section["figures"])
    page = _pages().get_template(template)
    bare = page.render(sections=within(sections, 0), has_curves=curved, **values)
    kept = within(sections, MAX_BYTES - len(bare.encode()))
    return page.render(sections=kept, has_curves=curved, **values)


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    pages.filters["count"] = count_label
    pages.filters["verdict"] = verdict_label
    pages.filters["linked"] = linked
    pages.globals["verdicts"] = VERDICT_TABLE
    pages.globals["verdict_css"] = _verdict_css
    pages.globals["text"] = _text
    pages.globals["plotly"] = _plotly
    return pages


@cache
def _text(file: str) -> Markup:
    """A file of this folder as it is."""
    return Markup((HERE / file).read_text(encoding="utf-8"))


@cache
def _verdict_css() -> Markup:
    """The colour of each verdict, by day and by night, for what has its class."""
    rules = {
        colour: "\n".join(
            f".{name.replace(' ', '-')} {{ --own: {getattr(look, colour)}; }}"
            for name, look in VERDICT_TABLE.items()
        )
        for colour in ("light", "dark")
    }
    night = f"@media (prefers-color-scheme: dark) {{\n{rules['dark']}\n}}\n"
    return Markup(f"{rules['light']}\n{night}")


@cache
def _plotly() -> str:
    """plotly.js, compressed, the same bytes each time."""
    return base64.b64encode(gzip.compress(PLOTLY.read_bytes(), mtime=0)).decode()


def picture(drawing: Drawing, path: Path, depth: int) -> dict[str, Any]:
    """Save a figure, and give what the templates say of it.

    Args:
        drawing: the figure.
        path: where to.
        depth: how deep its folder lies below the results folder.

    Raises:
        DamagedError: a link leads there.
    """
    style.save(drawing.canvas, path, depth=depth)
    words = {"title": drawing.title, "caption": drawing.caption, "alt": drawing.alt}
    return {**words, "curves": drawing.curves, **_files(path, depth)}


def kept_picture(path: Path, title: str, depth: int) -> dict[str, Any]:
    """The same for a figure that is there and cannot be drawn anew: its runs are elsewhere.

    Raises:
        DamagedError: it is no PNG, or a link leads there.
    """
    caption = f"{title}. Drawn earlier, from runs that are not in these results."
    return {
        "title": title,
        "caption": caption,
        "alt": caption,
        "curves": None,
        **_files(path, depth),
    }


def _files(path: Path, depth: int) -> dict[str, Any]:
    """The name of a figure, the formats that it is there in, and the image to embed."""
    formats = [kind for kind in ("svg", "png") if is_file(path.with_suffix(f".{kind}"))]
    return {"file": path.stem, "formats": formats, **_pixels(path, depth)}


def _pixels(path: Path, depth: int) -> dict[str, Any]:
    """An image to embed, and its size in CSS pixels (96 to the inch)."""
    try:
        pixels = content(path, PICTURE, depth)
        with Image.open(BytesIO(pixels), formats=["PNG"]) as image:
            width, height = (round(96 * number / style.DPI) for number in image.size)
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DamagedError(f"{path}: no picture that can be shown") from None
    source = f"data:image/png;base64,{base64.b64encode(pixels).decode()}"
    return {"source": source, "width": width, "height": height}


def within(sections: Sequence[Mapping[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The sections with only the figures that fit into `limit` bytes, first come first served."""
    left = limit
    kept = []
    for section in sections:
        figures = []
        for figure in section["figures"]:
            size = len(json.dumps(figure)) + MARKUP
            if figure["source"] and size > left:
                words = {key: figure[key] for key in ("title", "file")}
                figure = {**words, "source": None, "elsewhere": True}
            elif figure["source"]:
                left -= size
            figures.append(figure)
        kept.append({**section, "figures": figures})
    return kept
