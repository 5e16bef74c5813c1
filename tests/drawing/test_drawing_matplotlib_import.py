"""Figures are those of the project on every machine, whatever its user has set for matplotlib."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import hostile_rc
import matplotlib as mpl
import pytest
from hostile_rc import DRAWN, hostile, written

from bnbench.drawing import style
from bnbench.gallery import slides

PACKAGE = Path(style.__file__).parents[1]


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".svg", ".gif", ".html")
    }


def settings():
    """A copy of matplotlib's settings; a dict of them would warn of the deprecated ones."""
    return dict.copy(mpl.rcParams)


def test_the_settings_are_hostile():
    """They leave out what only other formats, interactive windows and texts in 3D follow."""
    found = hostile()
    assert found["text.usetex"] is True
    assert len(found) > 250
    assert {"svg.hashsalt", "savefig.dpi", "path.effects", "axes.prop_cycle"} <= found.keys()


@pytest.mark.parametrize("theme", [style.THEME, slides.THEME])
def test_a_theme_is_over_matplotlibs_defaults_and_leaves_no_trace(theme):
    with style.themed(theme):
        calm = settings()
    with mpl.rc_context(hostile()):
        before = settings()
        with style.themed(theme):
            assert settings() == calm
        assert settings() == before  # the caller's settings are the caller's


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Draw figures where nothing is set, once; their bytes."""
    drawn = {}

    def bytes_of(draw):
        if draw not in drawn:
            folder = tmp_path_factory.mktemp("calm")
            draw(folder)
            drawn[draw] = files(folder)
        return drawn[draw]

    return bytes_of


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWN)
def test_figures_are_the_same_bytes_whatever_is_set(draw, calm, tmp_path):
    with mpl.rc_context(hostile()):
        draw(tmp_path)
    assert len(calm(draw)) >= 2
    assert files(tmp_path) == calm(draw)


def test_there_is_one_way_to_set_up_matplotlib():
    for path in PACKAGE.rglob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        own = {"rc_context", "rcParams", "rcdefaults", "set_theme", "pyplot"}
        assert not names & own or path.name == "style.py", path


@pytest.mark.slow
def test_a_matplotlibrc_changes_no_byte(calm, tmp_path):
    home = tmp_path / "home"
    (home / "stylelib").mkdir(parents=True)
    (home / "stylelib" / "mine.mplstyle").write_text("text.usetex: True\n")
    (home / "matplotlibrc").write_text(written(hostile()) + "backend: svg\n")
    # in all places where matplotlib looks: whichever of them were read would be seen
    answer = subprocess.run(
        [sys.executable, hostile_rc.__file__, tmp_path / "hostile"],
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, "MATPLOTLIBRC": str(home), "MPLCONFIGDIR": str(home)},
    )
    assert answer.returncode == 0, answer.stderr
    for draw in DRAWN:
        assert files(tmp_path / "hostile" / draw.__name__) == calm(draw)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["bnbench.pages.report", "bnbench.gallery.slides"])
def test_settings_that_matplotlib_cannot_read_are_not_read(tmp_path, first):
    (tmp_path / "stylelib").mkdir()
    for name in ("matplotlibrc", "stylelib/mine.mplstyle"):
        (tmp_path / name).write_bytes(b"lines.linewidth: \xff\nno.such.key: 1\n")
    theirs = {"MPLBACKEND": "nope", "MATPLOTLIBRC": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    code = (
        f"import os; before = dict(os.environ), os.getcwd(); import {first};"
        "assert (dict(os.environ), os.getcwd()) == before; import matplotlib.pyplot as plt;"
        "assert plt.get_backend() == 'agg'"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | theirs,
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
