"""Synchronised batch normalisation: processes that share a batch are one process with all of it.

Three processes are started once, on gloo over loopback; they meet in a file. Each trains its layers
on its parts of the cases below and writes what came out. The tests put the parts together.
"""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn

from bnbench import norms
from bnbench.norms import SyncBatchNorm, convert_sync_batchnorm

WORLD = 3
NUM_STEPS = 2
C = 4


@dataclass(frozen=True)
class Case:
    """Samples in each process, the space behind a channel, and the rest of a problem."""

    sizes: tuple[int, ...]
    space: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float64
    mean: float = 3.0
    momentum: float | None = 0.1
    affine: bool = True
    needs_dx: bool = True
    channels_last: bool = False

    def batches(self):
        """x and dy of all processes, for each step; in the dtype of the case."""
        generator = torch.Generator().manual_seed(sum(self.sizes))
        shape = (NUM_STEPS, 2, sum(self.sizes), C, *self.space)
        for x, dy in torch.randn(shape, generator=generator, dtype=torch.float64):
            x = (self.mean + 2 * x).to(self.dtype)
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            yield x, dy.to(self.dtype)

    def part(self, rank):
        start = sum(self.sizes[:rank])
        return slice(start, start + self.sizes[rank])

    def prepared(self, layer):
        for shift, parameter in enumerate(layer.parameters()):
            parameter.data.copy_(torch.linspace(0.5, 2, C) - shift)
        return layer


CASES = [
    Case(sizes, space, dtype, mean)
    for sizes in [(3, 3, 3), (5, 2, 1), (1, 1, 1), (4, 0, 3), (4, 4), (5, 1)]
    for space in [(), (3, 2)]
    for dtype in [torch.float64, torch.float32]
    for mean in [3.0, 1e4]
]
CASES += [
    Case((5, 2, 1), momentum=None),
    Case((5, 2, 1), affine=False),
    Case((5, 2, 1), needs_dx=False),
    Case((5, 2, 1), (3, 2), channels_last=True),
    Case((5, 2, 1), (7,)),
    Case((5, 2, 1), (2, 2, 2)),
]
REFUSED = [Case((1, 0, 0)), Case((0, 0, 0))]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


def outcome(case, layer, part):
    """y and dx of the last step, what the parameters got, the buffers."""
    layer = case.prepared(layer)
    for x, dy in case.batches():
        layer.zero_grad()
        leaf = x[part].detach().to(next(layer.buffers()).dtype).requires_grad_(case.needs_dx)
        y = layer(leaf)
        y.backward(dy[part].to(y.dtype))
    dx = [leaf.grad] if case.needs_dx else []
    return [y.detach(), *dx], [p.grad for p in layer.parameters()], list(layer.buffers())


def message_of(case, layer, rank):
    x, _ = next(case.batches())
    try:
        layer(x[case.part(rank)])
    except ValueError as error:
        return str(error)


def recorded(send, payload, sent):
    """`send`, which notes what it is and how many bytes its argument number `payload` has."""

    def wrapped(*tensors, **options):
        sent.append((send.__name__, tensors[payload].nbytes))
        return send(*tensors, **options)

    return wrapped


def work(rank, folder):
    """One of the processes."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    torch.set_num_threads(1)
    store, patience = f"file://{folder}/store", timedelta(seconds=600)
    dist.init_process_group("gloo", store, rank=rank, world_size=WORLD, timeout=patience)
    pair = dist.new_group([0, 1])
    sent = []
    for name, payload in (("all_gather", 1), ("all_reduce", 0)):
        setattr(dist, name, recorded(getattr(dist, name), payload, sent))
    found = {}
    for case in CASES:
        if rank >= len(case.sizes):
            continue
        layer = SyncBatchNorm(
            C, momentum=case.momentum, affine=case.affine, dtype=case.dtype,
            process_group=pair if len(case.sizes) == 2 else None,
        )  # fmt: skip
        sent.clear()
        found[case] = (*outcome(case, layer, case.part(rank)), sent.copy())
    for case in REFUSED:
        found[case] = message_of(case, SyncBatchNorm(C, dtype=case.dtype), rank)
    spoilt, x = SyncBatchNorm(C), torch.arange(2.0 * C).view(2, C)
    x[0, 1] = torch.inf if rank == 0 else 1.0
    spoilt(x)
    found["infinite"] = spoilt.running_mean
    alone = SyncBatchNorm(C, process_group=[dist.new_group([r]) for r in range(WORLD)][rank])
    sent.clear()
    found["alone"] = (alone(torch.arange(2.0 * C).view(2, C)).detach(), sent.copy())
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process found for each case."""
    folder = tmp_path_factory.mktemp("sync")
    multiprocessing.set_forkserver_preload(["torch", "pytest"])  # once for all
    torch.multiprocessing.start_processes(work, (folder,), WORLD, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_processes_equal_one_process_with_the_joined_batch(found, case):
    """In float64, to which the numbers of the processes are compared, whatever they computed in."""
    joint = SyncBatchNorm(C, momentum=case.momentum, affine=case.affine, dtype=torch.float64)
    values, gradients, buffers = outcome(case, joint, slice(None))
    parts = [found[rank][case] for rank in range(len(case.sizes))]
    of_parts = [
        *(torch.cat(pieces) for pieces in zip(*(part[0] for part in parts), strict=True)),
        *(sum(terms) for terms in zip(*(part[1] for part in parts), strict=True)),
        *parts[0][2],
    ]
    for mine, expected in zip(of_parts, [*values, *gradients, *buffers], strict=True):
        bound = TOLERANCE[case.dtype] * max(1, expected.abs().max())
        torch.testing.assert_close(mine.to(expected.dtype), expected, rtol=0, atol=bound)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_buffers_are_the_same_on_all_processes(found, case):
    for rank in range(1, len(case.sizes)):
        for mine, theirs in zip(found[0][case][2], found[rank][case][2], strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_messages_a_step_of_the_stated_sizes(found, case):
    forward = ("all_gather", 8 * (3 * C + 1))
    backward = ("all_reduce", 2 * C * case.dtype.itemsize)
    step = [forward, backward] if case.needs_dx else [forward]
    for rank in range(len(case.sizes)):
        assert found[rank][case][3] == step * NUM_STEPS


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_one_value_in_all_processes_is_refused_by_all(found, case):
    for rank in range(WORLD):
        assert "more than 1 value per channel in all processes" in found[rank][case]


def test_an_infinite_first_sample_makes_the_joined_mean_infinite(found):
    for rank in range(WORLD):
        mean = found[rank]["infinite"]
        assert mean[1] == torch.inf
        assert mean[[0, 2, 3]].isfinite().all()


def test_a_group_of_one_sends_nothing(found):
    expected = norms.BatchNorm1d(C)(torch.arange(2.0 * C).view(2, C))
    for rank in range(WORLD):
        y, sent = found[rank]["alone"]
        assert torch.equal(y, expected)
        assert not sent


def test_without_processes_it_is_the_batchnorm():
    case = Case((8,), (3, 2), momentum=None)
    ours = outcome(case, SyncBatchNorm(C, momentum=None).double(), slice(None))
    plain = outcome(case, norms.BatchNorm2d(C, momentum=None).double(), slice(None))
    for mine, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, expected, rtol=0, atol=0)


def test_converted_nets_have_the_same_tensors_and_numbers():
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        norms.BatchNorm2d(3, momentum=None),
        nn.Sequential(nn.BatchNorm2d(3, eps=0.1), norms.BatchNorm2d(3, scale=False)),
        norms.GhostBatchNorm(3),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.BatchNorm2d(3, affine=False),
    )
    net[2].eval()
    x = torch.randn(4, 1, 6, 6)
    state, expected = net.state_dict(keep_vars=True), net(x)
    training = [module.training for module in net.modules()]
    assert convert_sync_batchnorm(net) is net
    kinds = [type(m).__name__ for m in net.modules() if "BatchNorm" in type(m).__name__]
    assert kinds == [*["SyncBatchNorm"] * 3, "GhostBatchNorm", *["SyncBatchNorm"] * 2]
    assert [module.training for module in net.modules()] == training
    converted = net.state_dict(keep_vars=True)
    assert list(converted) == list(state)
    assert all(converted[key] is tensor for key, tensor in state.items())
    torch.testing.assert_close(net(x), expected)
    assert type(convert_sync_batchnorm(nn.BatchNorm1d(3))) is SyncBatchNorm


def test_a_layer_with_two_names_is_converted_once():
    shared = norms.BatchNorm2d(4, backend="cpp")
    net = nn.Sequential(shared, nn.Sequential(shared))
    convert_sync_batchnorm(net)
    assert isinstance(net[0], SyncBatchNorm)
    assert net[0] is net[1][0]
    assert net[0].backend == "cpp"
