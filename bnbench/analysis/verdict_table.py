"""The verdicts: for each the word, how it looks, and the sentence that explains it.

Pages, figures, the terminal and Markdown read this table; nothing else names a colour or a meaning.
"""

from typing import NamedTuple


class VerdictLook(NamedTuple):
    """The looks and the meaning of one verdict.

    Attributes:
        symbol: beside the word, since colour alone would not tell verdicts apart.
        light: colour on white paper and on a page by day.
        dark: colour on a page by night.
        terminal: style of the word in a terminal.
        marker: of a mean in a figure.
        is_decided: whether the data decide the claim; only an undecided one may be underpowered.
        meaning: the sentence that explains the word to a reader of the scoreboard.
    """

    symbol: str
    light: str
    dark: str
    terminal: str
    marker: str
    is_decided: bool
    meaning: str


VERDICT_TABLE = {
    "confirmed": VerdictLook(
        *("✓", "#00704f", "#5cc9a2", "green", "o", True),
        "The effect is surely where the claim needs it: beyond the smallest effect of interest, or "
        "within the bounds of no difference.",
    ),
    "refuted": VerdictLook(
        *("✗", "#b3400a", "#ff9a62", "red", "X", True),
        "The effect is surely elsewhere: absent, contrary, of the claimed sign and too small, or "
        "beyond the bounds of no difference.",
    ),
    "inconclusive": VerdictLook(
        *("?", "#5a4b9c", "#b5a8f0", "magenta", "D", False),
        "The data decide neither way; underpowered where n is too small to show such an effect.",
    ),
    "not run here": VerdictLook(
        *("–", "#5a6570", "#9ba6b1", "dim", "s", False),
        "These results have no runs of it.",
    ),
}
VERDICTS = tuple(VERDICT_TABLE)
DECIDED = frozenset(name for name, look in VERDICT_TABLE.items() if look.is_decided)
