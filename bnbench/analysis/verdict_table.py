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
    "smaller than claimed": VerdictLook(
        *("↓", "#7a5200", "#e3b45a", "yellow", "v", True),
        "The effect surely has the claimed sign, and surely is below the smallest effect of "
        "interest.",
    ),
    "no effect": VerdictLook(
        *("=", "#1f5c99", "#83b8ee", "blue", "P", True),
        "The effect is surely smaller than the smallest effect of interest, whatever its sign.",
    ),
    "contrary": VerdictLook(
        *("✗", "#b3400a", "#ff9a62", "red", "X", True),
        "The effect surely has the other sign; or, where no effect or a level is claimed, surely "
        "lies beyond the bounds.",
    ),
    "undecided": VerdictLook(
        *("?", "#5a4b9c", "#b5a8f0", "magenta", "D", False),
        "The data show none of these; underpowered where n is too small to show such an effect.",
    ),
    "not run here": VerdictLook(
        *("–", "#5a6570", "#9ba6b1", "dim", ".", False),
        "These results have no runs of it.",
    ),
}
VERDICTS = tuple(VERDICT_TABLE)
DECIDED = frozenset(name for name, look in VERDICT_TABLE.items() if look.is_decided)
