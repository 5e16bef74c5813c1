"""Matplotlib as it ships, imported here before anything that draws: see `style.themed`.

What its user has set would be read at its import: a file that is no text, or a backend that is not
there, would end the program, and any other odd line would be a warning.
"""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path

HERE = str(Path(__file__).parent)
OWN = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}


@contextmanager
def hidden_settings() -> Iterator[None]:
    """Hide what the environment and the current folder, where it looks first, say of matplotlib."""
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
    import matplotlib.style  # reads the styles in that folder, which may be no text either

    mpl.get_configdir = get_configdir
