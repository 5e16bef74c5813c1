"""Read many CSV files of one shape as one table; check hashes, drop torn lines.

The files are parsed as one text, which is many times faster than one by one.
"""

import csv
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DEPTH, TABLES, DamagedError, content

DTYPES = {int: "int64", float: "float64", str: "category"}

Source = tuple[Path, Mapping[str, Any]]  # a file and the summary of its run; {} without one


def read_table(file: Path, depth: int = DEPTH, **options: Any) -> pd.DataFrame:
    """Read a CSV file whose every row has as many fields as its header.

    Args:
        file: of a results folder.
        depth: how deep its folder lies below the results folder.
        options: those of `pandas.read_csv`.

    Raises:
        FileNotFoundError: the file is missing.
        DamagedError: the file holds no such table; one line.
    """
    text = BytesIO(content(file, depth=depth))
    try:
        with warnings.catch_warnings():
            # pandas would cut off surplus fields, or take the first column for the names of rows
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(text, index_col=False, **options)
    except (OverflowError, ValueError, pd.errors.ParserWarning) as error:
        raise DamagedError(f"{file}: {' '.join(str(error).split())}") from None


def read_long(
    sources: Sequence[Source], columns: Mapping[str, type]
) -> tuple[pd.DataFrame, list[int]]:
    """Read the rows of all files in order, and count the rows of each.

    A last line without a line end is torn and is dropped. A missing file counts as empty if the
    summary of its run does not list it.

    Raises:
        ValueError: the hash of a file is wrong, its header is another, or a field does not have the
            type of its column; one line that names the file.
    """
    texts, left = [], TABLES
    for source in sources:
        texts.append(_body(*source))
        left -= len(texts[-1])
        if left < 0:
            raise ValueError(f"{source[0]}: with those before it more than {TABLES:,} bytes")
    lengths = [text.count(b"\n") for text in texts]
    joined = b"".join(texts)
    del texts  # which is as large as the tables below
    try:
        return _parse(joined, columns), lengths
    except ValueError:
        for source in sources:
            try:
                _parse(_body(*source), columns)
            except ValueError as error:
                raise ValueError(f"{source[0]}: {error}") from None
        raise


def _body(file: Path, summary: Mapping[str, Any]) -> bytes:
    """Return the lines of a file below its header."""
    return RunFolder(file.parent).proved(summary, file).partition(b"\n")[2]


def _parse(text: bytes, columns: Mapping[str, type]) -> pd.DataFrame:
    return pd.read_csv(
        BytesIO(text),
        header=None,
        names=list(columns),
        dtype={column: DTYPES[kind] for column, kind in columns.items()},
        keep_default_na=False,
        na_values={"value": ["nan"]},
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE,
    )
