"""The columns of the files of judged claims, and how a table of them is read and checked."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from bnbench import CALL
from bnbench.analysis.long_csv import read_table
from bnbench.tracking.stored import DamagedError

DEPTH = 2  # below the results folder: claims/<data>
P_KINDS = ("confirmed", "contrary", "smaller", "none")  # the verdicts that have p-values
INTERVAL = ("estimate", "ci_low", "ci_high", "ci_level", "n")
BOUNDS = ("sesoi_low", "sesoi_high")
RATES = ("treatment_rate", "baseline_rate")
NUMBERS = (
    *(*INTERVAL, "seeds", *BOUNDS, "p_holm", "power", "distance"),
    *("interest", "null", *(f"p_{kind}" for kind in P_KINDS), "detectable", "censored"),
    *("seed", "value", "treatment", "baseline", *RATES),
    *("other_estimate", "other_low", "other_high", "other_level", "other_n"),
)
SCOREBOARD = (
    *("claim", "verdict", "depends_on", "distance", "statistic", *INTERVAL, *BOUNDS),
    *("p_holm", "power", "reference", "replicated", "experiment", "command"),
)
PARTS = (
    *("claim", "part", "role", "statistic", "scale", *INTERVAL, "seeds", *BOUNDS),
    *("interest", "null"),
    *(*(f"p_{kind}" for kind in P_KINDS), "detectable", "censored", "verdict"),
)
EVIDENCE = (
    *("part", "role", "seed", "value", "treatment", "baseline"),
    *("treatment_arm", "baseline_arm", *RATES, "bound"),
)
EXACT = ("part", "statistic", "estimate", "direction", "bound", "holds")
SENSITIVITY = (
    *("claim", "choice", "part", "estimate", "ci_low", "ci_high", "n", "verdict", "flips"),
)
REPLICATION = (
    *("claim", "against", "reference", "replicated", "part", *INTERVAL),
    *("other_estimate", "other_low", "other_high", "other_level", "other_n", "distance"),
)
# what an older version did not write, or wrote under other names
OLDER = frozenset(("depends_on", "reference", "replicated", "seeds", "scale", "null", *RATES))
OF_OLDER = frozenset(("powered", "p_refute"))
WORDS_OF = {  # column -> allowed words
    "role": {"verdict", "reading", "choice"},
    "direction": {"<=", ">="},
    "holds": {"True", "False"},
    "flips": {"yes", "no"},
    "replicated": {"yes", "no", ""},
    "scale": {"linear", "log", "share", "grid"},
    "against": {"reference", "fresh seeds"},
}
TEXT = (
    *("claim", "part", "role", "statistic", "scale", "verdict", "experiment", "command"),
    *("direction", "depends_on", "reference", "replicated", "choice", "flips", "against"),
    *("treatment_arm", "baseline_arm"),
)


def read_columns(path: Path, needed: Sequence[str], depth: int = DEPTH + 1) -> pd.DataFrame:
    """Read a table; an absent text becomes the empty string, an absent number NaN.

    Args:
        path: the file.
        needed: its columns; those of `EVIDENCE` may be those of `EXACT` instead.
        depth: how deep its folder lies below the results folder.

    Raises:
        DamagedError: the file is missing, or a column or a cell is not as expected; one line.
    """
    try:
        table = read_table(path, depth, dtype=dict.fromkeys(TEXT, str))
        is_evidence = needed == EVIDENCE
        if is_evidence and "holds" in table:
            needed = EXACT
        if lacking := [column for column in needed if column not in table]:
            is_older = bool(OF_OLDER & set(table)) or set(lacking) <= OLDER
            words = f"judged by an older version: {CALL} claims judges it anew"
            raise ValueError(words if is_older else f"no column {', '.join(lacking)}")
        texts = [key for key in TEXT if key in table]
        texts += (
            ["bound"] if "seed" in table else []
        )  # in the evidence of an exact claim `bound` is a number
        numbers = table.columns.intersection([*NUMBERS, *({"bound"} - set(texts))])
        table = table.assign(**{key: table[key].astype(object).fillna("") for key in texts})
        if len(table) or is_evidence:
            _check(table, numbers)
        return table
    except FileNotFoundError:
        raise DamagedError(f"{path}: missing") from None
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError(f"{path}: {error}") from None


def _check(table: pd.DataFrame, numbers: Iterable[str]) -> None:
    """Refuse a table with cells that judging does not write.

    Raises:
        ValueError: there is such a cell, or no row at all.
    """
    if table.empty:
        raise ValueError("expected a row at least")
    for column in numbers:
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise ValueError(f"column {column} holds something that is not a number")
    for column, allowed in WORDS_OF.items():
        given = set(map(str, table[column])) if column in table else set()
        if strange := sorted(given - allowed):
            expected = ", ".join(sorted(allowed))
            raise ValueError(f"{column} {strange[0][:40]!r}: expected one of {expected}")
