"""Read many CSV files of one shape as one table, dropping a last line that a crash tore.

The files are parsed as one text, which is many times faster than one by one.
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

DTYPES = {int: "int64", float: "float64", str: "category"}


def read_long(files: Sequence[Path], columns: Mapping[str, type]) -> tuple[pd.DataFrame, list[int]]:
    """The rows of all files, in order, and how many each has; a missing file has none.

    Raises:
        ValueError: a file has another header, or a field that is not of its column's type; one
            line that names the file.
    """
    texts = [_whole_lines(file, columns) if file.exists() else b"" for file in files]
    try:
        table = _parse(texts, columns)
    except ValueError:
        for file, text in zip(files, texts, strict=True):
            try:
                _parse([text], columns)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from None
        raise
    return table, [text.count(b"\n") for text in texts]


def _whole_lines(file: Path, columns: Collection[str]) -> bytes:
    text = file.read_bytes()
    head, _, body = text[: text.rfind(b"\n") + 1].partition(b"\n")
    if head and head.decode(errors="replace").split(",") != list(columns):
        raise ValueError(f"{file}: expected the header {','.join(columns)}")
    if body.count(b",") != body.count(b"\n") * (len(columns) - 1):
        raise ValueError(f"{file}: a line has more or fewer than {len(columns)} fields")
    return body


def _parse(texts: Sequence[bytes], columns: Mapping[str, type]) -> pd.DataFrame:
    return pd.read_csv(
        BytesIO(b"".join(texts)),
        header=None,
        names=list(columns),
        dtype={column: DTYPES[kind] for column, kind in columns.items()},
        keep_default_na=False,
        na_values={"value": ["nan"]},
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE,
    )
