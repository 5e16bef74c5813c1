"""The layer table: what it counts, and that its errors are those of the backends."""

import csv
from dataclasses import asdict

import pytest
import torch

from bnbench.bench import layer as bench_layer
from bnbench.commands import bench
from bnbench.drawing import bench_figure
from bnbench.norms import kernels

SHAPE = (8, 16, 6, 6)


@pytest.fixture(params=[bench_layer.BACKENDS, ("native", "reference")], ids=["all", "no compiler"])
def backends(request):
    if "cpp" in request.param:
        try:
            kernels.require("cpp")
        except kernels.UnavailableError as error:
            pytest.skip(str(error))
    return request.param


@pytest.fixture
def rows(monkeypatch, backends):
    monkeypatch.setattr("bnbench.bench.loop.repeats", lambda *given: 1)
    return list(bench_layer.run(rounds=3, shapes=[SHAPE, (8, 16)], backends=backends))


def test_every_backend_stands_beside_native(rows, backends):
    assert len(rows) == 3 * 3 * len(backends)
    for row in rows:
        assert row.p10 <= row.ratio <= row.p90
        assert row.ms > 0
        assert (row.kept is None) == (row.work == "eval") == (row.dx_error is None)
        if row.backend == "native":
            assert (row.ratio, row.p10, row.p90) == (1, 1, 1)


def test_kept_counts_the_input_and_what_relu_adds(rows):
    """A dozen vectors of 16 beside 4,608 values; torch's ReLU keeps its output."""
    for row in rows:
        if row.shape == str(SHAPE) and row.kept is not None:
            whole = 2 if (row.backend, row.work) == ("native", "train+ReLU") else 1
            assert whole < row.kept < whole + 12 * 16 / (8 * 16 * 36)


def test_errors_tell_torch_from_ours_where_the_mean_is_far(rows):
    for row in rows:
        near = [e for e in (row.y_error, row.dx_error, row.dgamma_error) if e is not None]
        far = [
            e for e in (row.far_y_error, row.far_dx_error, row.far_dgamma_error) if e is not None
        ]
        assert max(near) < 2e-6
        if row.backend == "native":
            assert max(far) > 2e-5
        else:
            assert max(far) < 2e-6


def test_an_error_is_the_greatest_share(monkeypatch):
    given = bench_layer.problem(SHAPE, "contiguous", relu=False)
    exact = bench_layer.train_results(given, "reference", torch.float64)

    def off(given, backend, dtype):
        results = [t.clone() for t in exact]
        if dtype == torch.float32:
            results[0].view(-1)[7] += 0.25 * exact[0].abs().max()
        return results

    monkeypatch.setattr(bench_layer, "train_results", off)
    y, dx, dgamma = bench_layer.errors(given, "native", training=True)
    assert y == pytest.approx(0.25)
    assert (dx, dgamma) == (0, 0)


@pytest.mark.slow
def test_the_table_and_the_figure_show_every_case(rows, tmp_path, capsys):
    path = tmp_path / "bench_layer.csv"
    bench.write(path, rows, {"torch": "x"})
    with path.open() as file:
        read = list(csv.DictReader(file))
    assert [row["ratio"] for row in read] == [str(asdict(row)["ratio"]) for row in rows]
    bench_figure.draw(path, tmp_path)
    assert (tmp_path / "bench_layer.png").stat().st_size > 10_000
    assert "channels_last" in (tmp_path / "bench_layer.svg").read_text()
    bench.show_layer(bench.Console(width=80), rows)
    shown = capsys.readouterr().out
    assert shown.count("\n(8,16") == len(rows)
    assert ("cpp" in shown) == any(row.backend == "cpp" for row in rows)
    assert "…" not in shown
