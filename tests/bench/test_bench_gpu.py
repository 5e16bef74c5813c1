"""The benchmark of the Triton kernel: its arithmetic by a clock of our own, no GPU needed."""

import csv
import sys

import pytest
import torch
import torch.nn.functional as F

from bnbench.bench import gpu as bench_gpu
from bnbench.commands import bench_gpu as command
from bnbench.norms.kernels import triton_kernel


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layout", bench_gpu.FORMATS)
def test_torchs_side_is_torchs_layer(layout, relu):
    torch.manual_seed(0)
    x, dy = torch.randn(2, 4, 3, 5, 5).unbind()
    x = x.contiguous(memory_format=bench_gpu.FORMATS[layout]).requires_grad_()
    weight, bias = (torch.randn(3, requires_grad=True) for _ in range(2))
    y = F.batch_norm(x, None, None, weight, bias, training=True, eps=bench_gpu.EPS)
    y = y.relu() if relu else y
    expected = [y, *torch.autograd.grad(y, (x, weight, bias), dy)]
    with torch.no_grad():
        found = bench_gpu.torch_passes(x, dy, weight, bias, relu)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


class Clock:
    """A copy takes 2 ms, the kernel 10 ms, torch 30 ms, and everything thrice that at times."""

    def __init__(self):
        self.works, self.order = [], []

    def __call__(self, work, repeats):
        work()
        if work not in self.works:
            self.works.append(work)
        side = self.works.index(work)
        self.order.append(side)
        sample = (len(self.order) - 7) // 3  # two measurements of each come before the first
        return [2.0, 10.0, 30.0][side] * repeats * (3 if sample % 3 == 1 else 1)


def test_ratios_are_within_samples_and_bytes_are_the_least(monkeypatch):
    monkeypatch.setattr(bench_gpu, "kernel_passes", bench_gpu.torch_passes)
    clock = Clock()
    row = bench_gpu.compare((4, 3, 5, 5), "NHWC", "bfloat16", True, 6, clock, device="cpu")
    assert clock.order[6:] == [0, 1, 2, 1, 2, 0, 2, 0, 1] * 2
    x_mb = 4 * 3 * 5 * 5 * 2 / 1e6
    assert row.megabytes == pytest.approx(x_mb)
    assert row.copy_gb_per_s == pytest.approx(2 * x_mb / 2)
    assert row.kernel_gb_per_s == pytest.approx(5 * x_mb / 10)
    shares, speedups = (row.share, row.share_p10, row.share_p90), (row.speedup, row.speedup_p10)
    assert shares == pytest.approx([0.5] * 3)  # (5/10) / (2/2)
    assert (*speedups, row.speedup_p90) == pytest.approx([3] * 3)
    assert (row.shape, row.kernel_ms, row.torch_ms) == ("4x3x5x5", 10, 30)


def test_what_computes_something_else_is_not_timed(monkeypatch):
    def wrong(*case):
        y, dx, dgamma, dbeta = bench_gpu.torch_passes(*case)
        return y, dx, dgamma * 1.1, dbeta

    monkeypatch.setattr(bench_gpu, "kernel_passes", wrong)
    with pytest.raises(RuntimeError, match=r"0\.1 from torch's"):
        bench_gpu.compare((4, 3, 5, 5), "NCHW", "float32", False, 6, Clock(), device="cpu")


def test_without_a_gpu_the_script_says_so_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--results", str(tmp_path / "results")])
    assert command.main() == 2
    message = "bench_gpu measures the Triton kernel on a GPU, but there is no CUDA GPU\n"
    assert capsys.readouterr() == ("", message)
    assert not (tmp_path / "results").exists()


def test_the_script_writes_what_it_measured_and_where(monkeypatch, tmp_path, capsys):
    row = bench_gpu.Bandwidth(
        *("64x64x112x112", "NHWC", "float32", True, 205.5, 4000.0, 2000.0),
        *(0.5, 0.45, 0.55, 0.5, 0.6, 1.2, 1.1, 1.3, 30),
    )
    monkeypatch.setattr(command, "run", lambda samples: iter([row] * samples))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91300)
    monkeypatch.setattr(triton_kernel, "prepare", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--results", str(tmp_path), "--samples", "2"])
    assert command.main() == 0
    with (tmp_path / "bench_gpu.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 2
    assert (written[0]["share"], written[0]["device"]) == ("0.5", "a GPU")
    assert {"torch", "triton", "cuda", "cudnn", "commit"} <= written[0].keys()
    assert "50%" in capsys.readouterr().out
