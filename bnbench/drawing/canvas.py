"""The common parts of the figures of claims: title, verdict, rows below each other, marks."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdict_words import COLOURS, verdict_label
from bnbench.analysis.verdicts import JudgedClaim
from bnbench.drawing.layout import entitle

WIDTH = 8.4
ROW, PANEL, HEAD = 0.5, 0.75, 0.35  # inches
REGION = "#dff0e9"
READING = "#7a848e"
MARKERS = {name: look.marker for name, look in VERDICT_TABLE.items()}
NUM_TOLD = 8  # parts in an alternative text; the rest is in the table


def canvas_of(claim: JudgedClaim, num_rows: Sequence[int]) -> tuple[Canvas, list[Axes]]:
    """Make panels of `num_rows` rows below each other, under the claim and its verdict."""
    height = sum(ROW * num + PANEL for num in num_rows) + HEAD
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    entitle(canvas, title_of(claim))
    ratios = [num + 0.4 for num in num_rows]
    grid = canvas.subplots(len(num_rows), 1, squeeze=False, height_ratios=ratios)
    axes = list(grid[:, 0])
    verdict = claim.row["verdict"]
    look = {"color": COLOURS[verdict], "weight": "bold", "loc": "left", "fontsize": "large"}
    axes[0].set_title(verdict_label(verdict), **look)
    if claim.is_adjusted_away:
        note = {"color": READING, "loc": "right", "fontsize": "small"}
        axes[0].set_title("its parts are not adjusted", **note)
    for ax, num in zip(axes, num_rows, strict=True):
        ax.set_ylim(num - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        ax.tick_params(left=False)
        ax.spines["left"].set_visible(False)
    return canvas, axes


def title_of(claim: JudgedClaim) -> str:
    """Write the title of a figure: `C2a: BN trains faster`."""
    return f"{claim.view.id}: {claim.view.sentence}"
