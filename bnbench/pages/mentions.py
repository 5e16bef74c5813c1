"""Links wherever a text mentions a claim by its id."""

import re
from collections.abc import Iterator, Mapping

from markupsafe import Markup

ID = re.compile(r"\b([A-Z]+[0-9]+[a-z]?)\b")


def linked(text: str, links: Mapping[str, str], own: str = "") -> Markup:
    """Escape a text for HTML, and make links of the ids that it mentions.

    Args:
        text: the text, from anywhere.
        links: id -> address; other words are no ids, whatever they look like.
        own: an id that is left alone: that of the claim whose text this is.
    """
    link = Markup('<a href="{}">{}</a>').format
    return Markup("").join(
        link(links[piece], piece) if is_id else piece for piece, is_id in pieces(text, links, own)
    )


def pieces(text: str, links: Mapping[str, str], own: str = "") -> Iterator[tuple[str, bool]]:
    """Cut a text at the ids that it mentions.

    Returns:
        Each piece in turn, and whether it is an id to link.
    """
    for number, piece in enumerate(ID.split(text)):
        if piece:
            yield piece, bool(number % 2) and piece in links and piece != own
