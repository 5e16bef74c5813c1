"""Self-contained pages: templates filled with escaped text, figures embedded up to a limit."""

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from bnbench.analysis import style
from bnbench.analysis.claim_words import verdict_label
from bnbench.analysis.labels import count_label
from bnbench.analysis.plots import Drawing

MAX_BYTES = 6_000_000  # of a page with many figures; those beyond it are left to other files


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder."""
    return _pages().get_template(template).render(**values)


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["count"] = count_label
    pages.filters["verdict"] = verdict_label
    return pages


def picture(drawing: Drawing, path: Path) -> dict[str, Any]:
    """Save a figure, and give what the templates say of it."""
    style.save(drawing.canvas, path)
    words = {"title": drawing.title, "caption": drawing.caption, "alt": drawing.alt}
    return {**words, **_pixels(path)}


def _pixels(path: Path) -> dict[str, Any]:
    """An image to embed, and its size in CSS pixels (96 to the inch)."""
    with Image.open(path) as image:
        width, height = (round(96 * pixels / style.DPI) for pixels in image.size)
    source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {"source": source, "width": width, "height": height}


def within(sections: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The sections with only as many figures as fit into `limit` bytes, first come first served."""
    left = limit
    kept = []
    for section in sections:
        size = sum(len(figure["source"] or "") for figure in section["figures"])
        figures = section["figures"]
        if size > left:
            figures = [{"title": f["title"], "source": None, "elsewhere": True} for f in figures]
        else:
            left -= size
        kept.append(section | {"figures": figures})
    return kept
