"""Matplotlib as it ships, imported here before anything that draws: see `style.themed`.

Importing matplotlib reads the user's settings: a file that is not text, or a backend that is
missing, would end the program, and any other odd line would warn.
"""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path

HERE = str(Path(__file__).parent)
OWN = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}


@contextmanager
def hidden_settings() -> Iterator[None]:
    """Hide settings of matplotlib in the environment and in the current folder, read first."""
    theirs = {name: os.environ[name] for name in OWN if name in os.environ}
    os.environ.update(OWN)
    try:
        with chdir(HERE) if Path("matplotlibrc").exists() else nullcontext():
            yield
    finally:
        for name in OWN:
            del os.environ[name]
        os.environ.update(theirs)


with hidden_settings():
    import matplotlib as mpl

    get_configdir, mpl.get_configdir = mpl.get_configdir, lambda: HERE
    import matplotlib.style  # reads the styles in the user's folder, which may be no text either

    mpl.get_configdir = get_configdir
