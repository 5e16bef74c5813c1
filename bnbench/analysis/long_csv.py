"""Read many CSV files of one shape as one table: whole lines, proved by hashes where there are any.

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
from bnbench.tracking.stored import TABLES

DTYPES = {int: "int64", float: "float64", str: "category"}

Source = tuple[Path, Mapping[str, Any]]  # a file and the summary of its run; {} without one


def read_table(content: bytes, **options: Any) -> pd.DataFrame:
    """Parse a CSV file whose every row has as many fields as its header.

    Args:
        content: of the file.
        options: those of `pandas.read_csv`.

    Raises:
        ValueError: it is no such table; one line.
    """
    try:
        with warnings.catch_warnings():
            # a row with more fields would lose some, or all rows their names
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(BytesIO(content), index_col=False, **options)
    except (OverflowError, ValueError, pd.errors.ParserWarning) as error:
        raise ValueError(" ".join(str(error).split())) from None


def read_long(
    sources: Sequence[Source], columns: Mapping[str, type]
) -> tuple[pd.DataFrame, list[int]]:
    """The rows of all files, in order, and how many each has.

    A last line without an end is torn, and dropped. A file has no rows where it is missing and
    its run's summary does not know of it.

    Raises:
        ValueError: a file is not what its run wrote, has another header, or a field that is not
            of its column's type; one line that names the file.
    """
    texts, left = [], TABLES
    for source in sources:
        texts.append(_body(*source))
        left -= len(texts[-1])
        if left < 0:
            raise ValueError(f"{source[0]}: with those before it more than {TABLES:,} bytes")
    lengths = [text.count(b"\n") for text in texts]
    content = b"".join(texts)
    del texts  # as large as what follows
    try:
        return _parse(content, columns), lengths
    except ValueError:
        for source in sources:
            try:
                _parse(_body(*source), columns)
            except ValueError as error:
                raise ValueError(f"{source[0]}: {error}") from None
        raise


def _body(file: Path, summary: Mapping[str, Any]) -> bytes:
    """The lines of a file below its header."""
    return RunFolder(file.parent).proved(summary, file).partition(b"\n")[2]


def _parse(content: bytes, columns: Mapping[str, type]) -> pd.DataFrame:
    return pd.read_csv(
        BytesIO(content),
        header=None,
        names=list(columns),
        dtype={column: DTYPES[kind] for column, kind in columns.items()},
        keep_default_na=False,
        na_values={"value": ["nan"]},
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE,
    )
