"""What a figure declares: its panels, and what is refused."""

import pytest
from fake_results import POINTS, config

from bnbench.config.schema import Figure, FigureKind, Panel
from bnbench.drawing.frames import panels
from bnbench.drawing.plots import draw


def curves(**changes):
    return Figure(FigureKind.curves, "Curves", **changes)


def versus(**changes):
    return Figure(FigureKind.versus, "Versus", **{"y": "test/accuracy"} | changes)


def test_panels_by_column_by_grid_and_by_query(make):
    arms = [(config(m, n), 1, 0) for m in ("mlp", "vgg") for n in ("none", "batchnorm")]
    experiment = make(*arms)

    def titles(spec):
        return [title for title, _ in panels(experiment, spec)[0]]

    assert titles(curves(col="model.name")) == ["MLP", "VGG"]
    assert titles(curves(row="model.name", col="batch_size")) == [
        "MLP, batch size 64",
        "VGG, batch size 64",
    ]
    chosen = [Panel("BN", "`norm.name` == 'batchnorm'"), Panel("late", "step > 100")]
    (_, bn), (_, late) = panels(experiment, curves(panels=chosen))[0]
    assert set(bn["norm.name"]) == {"batchnorm"}
    assert set(late["step"]) == {POINTS[-1]}
    assert titles(curves(col="model.name", where="batch_size == 64 and step > 900")) == []
    assert draw(curves(where="batch_size == 8"), experiment) is None


def test_a_grid_that_is_not_full_has_no_holes(make):
    arms = [config("mlp"), config("mlp", batch_size=8), config("vgg")]
    spec = curves(row="model.name", col="batch_size")
    cells, across = panels(make(*((arm, 1, 0) for arm in arms)), spec)
    assert [title for title, _ in cells] == [
        "MLP, batch size 8",
        "MLP, batch size 64",
        "VGG, batch size 64",
    ]
    assert across == 3
    assert all(len(part) for _, part in cells)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (versus(x="batchsize"), "'Versus': x=batchsize: expected a column, one of .*batch_size"),
        (versus(x="norm.name"), "x=norm.name: expected a column of numbers"),
        (versus(x="batch_size", y="test/acc"), "test/acc"),
        (curves(y="accuracy"), "y=accuracy: expected split/metric"),
        (curves(hue="norm"), "hue=norm: expected a column"),
        (curves(where="batch_sizes == 8"), "where=batch_sizes == 8: .*batch_sizes"),
        (curves(where="batch_size =="), "where=batch_size ==: "),
    ],
)
def test_a_bad_declaration_is_refused(make, spec, complaint):
    with pytest.raises(ValueError, match=complaint):
        draw(spec, make((config(), 1, 0)))
