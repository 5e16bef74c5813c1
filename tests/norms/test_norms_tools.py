"""The layers under torch's own tools: recorded, converted, fused, recomputed; docs/layer.md."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.ao import quantization
from torch.fx.experimental.optimization import fuse
from torch.nn.utils import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from bnbench import norms
from bnbench.norms import NORMS, population, recalibrated

PLAIN = {"batchnorm": norms.BatchNorm2d, "sync": norms.SyncBatchNorm}
HELD = {
    "relu": norms.BatchNormReLU2d,
    "lrn": norms.BatchNormLrn,
    "noisy": norms.NoisyBatchNorm,
    "ghost": lambda c, **options: norms.GhostBatchNorm(c, ghost_size=2, **options),
    "renorm": norms.BatchRenorm,
    "l1": norms.L1BatchNorm,
    "linf": norms.LInfBatchNorm,
}
TRAINS_BY_ITSELF = {"ghost", "renorm", "l1", "linf"}
OTHERS = {"l2norm": norms.L2Norm, "noise": lambda c: norms.Noise()}
every_kind = pytest.mark.parametrize(
    "kind", [*(PLAIN | HELD | OTHERS).values()], ids=[*(PLAIN | HELD | OTHERS)]
)
every_held = pytest.mark.parametrize("name", HELD)
CPP = pytest.param("cpp", marks=pytest.mark.needs_cpp)
X = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(1))


def net_with(kind):
    """A convolution and the layer, which has seen a batch and has no parameter of 0 or 1."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), kind(4))
    for parameter in net[1].parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    net(3 + X)
    return net


def output(net, x=X):
    torch.manual_seed(2)  # of noise
    with torch.no_grad():
        return copy.deepcopy(net)(x)


# torch.fx


@every_kind
def test_fx_records_a_layer_as_one_call_that_follows_the_mode(kind):
    net = net_with(kind)
    traced = torch.fx.symbolic_trace(net)
    assert [(node.op, node.target) for node in traced.graph.nodes if node.op == "call_module"] == [
        ("call_module", "0"),
        ("call_module", "1"),
    ]
    for mode in (True, False):
        assert torch.equal(output(traced.train(mode)), output(net.train(mode)))


@pytest.mark.slow  # traces two resnets
@pytest.mark.parametrize("backend", ["reference", "native", "auto"])
def test_torchvision_extracts_features_as_from_its_own_layer(backend):
    features = []
    for layer in (lambda c: norms.BatchNorm2d(c, backend=backend), nn.BatchNorm2d):
        torch.manual_seed(0)
        model = resnet18(norm_layer=layer).eval()
        extractor = create_feature_extractor(model, ["bn1", "layer1", "layer2.0.bn2"])
        with torch.no_grad():
            features.append(extractor(torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)))
    assert list(features[0]) == ["bn1", "layer1", "layer2.0.bn2"]
    torch.testing.assert_close(features[0], features[1])


@every_kind
def test_features_are_named_by_the_layer(kind):
    net = net_with(kind).eval()
    features = create_feature_extractor(net, ["1"])(X)
    assert torch.equal(features["1"], output(net))


@every_kind
def test_pickles_name_the_class_and_not_torch(kind):
    layer = kind(4)
    assert type(layer).__module__.startswith("bnbench.norms")
    for clone in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(clone) is type(layer)
        assert clone.__module__ == "torch.nn"


# conversion and fusion


@every_held
@pytest.mark.parametrize("training", [True, False])
def test_conversion_to_torchs_syncbatchnorm_loses_nothing(name, training):
    net = net_with(HELD[name]).train(training)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(net))
    assert type(converted[1]) is type(net[1])
    if training and name in TRAINS_BY_ITSELF:
        with pytest.raises(TypeError, match="SyncBatchNorm in place of the BatchNorm"):
            converted(X)
    else:
        torch.testing.assert_close(output(converted), output(net))


@every_held
def test_fusion_refuses_the_layer_and_takes_what_it_holds(name):
    conv, layer = net_with(HELD[name]).eval()
    with pytest.raises(AttributeError, match="running_mean"):
        fuse_conv_bn_eval(conv, layer)
    expected = nn.Sequential(conv, layer.norm)(X)
    torch.testing.assert_close(
        fuse_conv_bn_eval(conv, layer.norm)(X), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", PLAIN)
def test_fusion_takes_the_plain_layer(name):
    net = net_with(PLAIN[name]).eval()
    torch.testing.assert_close(fuse_conv_bn_eval(*net)(X), net(X), rtol=1e-4, atol=1e-4)


@every_kind
def test_tools_that_go_by_exact_types_leave_or_refuse_the_layer(kind):
    net = net_with(kind).eval()
    assert torch.equal(output(fuse(net)), output(net))
    with pytest.raises(AssertionError, match="did not find fuser method"):
        quantization.fuse_modules(net, [["0", "1"]])


@every_kind
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantisation_leaves_the_layer_in_float(kind):
    net = nn.Sequential(net_with(kind), nn.Flatten(), nn.Linear(36, 2)).eval()
    net[2].qconfig = quantization.default_dynamic_qconfig
    dynamic = quantization.quantize_dynamic(net, {nn.Linear})
    assert torch.equal(output(dynamic[0]), output(net[0]))
    prepared = quantization.prepare(quantization.QuantWrapper(net_with(kind).eval()), inplace=False)
    assert type(prepared.module[1]) is type(net[0][1])


@every_held
def test_checkpoints_with_the_names_of_a_batchnorm_load(name):
    net = net_with(HELD[name])
    flat = {key.replace("1.norm.", "1."): tensor for key, tensor in net.state_dict().items()}
    theirs = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    theirs.load_state_dict(flat)
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), HELD[name](4))
    twin.load_state_dict(theirs.state_dict())
    assert torch.equal(output(twin.eval()), output(net.eval()))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*1\.gamma"):
        twin.load_state_dict({**flat, "1.gamma": torch.ones(4)})


@every_held
def test_a_name_of_what_is_held_beside_one_of_the_layer_s_own_is_unexpected(name):
    layer = HELD[name](4)
    state = {**layer.state_dict(), "weight": torch.zeros(4)}
    with pytest.raises(RuntimeError, match=r'Unexpected key.* "weight"'):
        layer.load_state_dict(state)
    assert torch.equal(layer.norm.weight, torch.ones(4))


@every_held
def test_the_names_of_what_is_held_are_no_names_of_the_layer(name):
    layer = HELD[name](4)
    for attribute in ("weight", "running_var", "num_batches_tracked", "momentum", "eps", "backend"):
        assert not hasattr(layer, attribute)
        with pytest.raises(AttributeError, match=rf"of its own, expected \.norm\.{attribute}$"):
            setattr(layer, attribute, None)


@pytest.mark.parametrize("kind", [norms.BatchNormReLU2d, norms.L1BatchNorm, norms.LInfBatchNorm])
def test_arguments_of_what_is_held_may_be_given_by_place(kind):
    norm = kind(4, 1e-3, None, False).norm
    assert (norm.num_features, norm.eps, norm.momentum, norm.affine) == (4, 1e-3, None, False)


# averages of weights


@every_held
def test_update_bn_and_averaged_models_find_what_is_held(name):
    net = net_with(HELD[name])
    average = AveragedModel(net, use_buffers=True)
    average.update_parameters(net)
    update_bn([X, X + 1], average)
    norm = average.module[1].norm
    assert norm.num_batches_tracked == (6 if name == "ghost" else 2)
    conv = average.module[0]
    mean = (conv(X).mean((0, 2, 3)) + conv(X + 1).mean((0, 2, 3))) / 2
    torch.testing.assert_close(norm.running_mean, mean.detach())
    assert norm.momentum == 0.1


@every_held
def test_freezing_every_batchnorm_freezes_what_is_held(name):
    net = net_with(HELD[name])
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    before = copy.deepcopy(net.state_dict())
    net(X)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


# recomputation

MODES = {"reentrant": (True, False), "early stop": (False, True), "whole": (False, False)}
every_mode = pytest.mark.parametrize("mode", MODES)


def recomputed(layer, mode, num_batches=40):
    """Gradients of the last step and buffers after steps on data that drifts."""
    reentrant, early_stop = MODES[mode]
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(4, 6), layer).double()
    for step in range(num_batches):
        x = step / 10 + (1 + step / 20) * torch.randn(8, 4, dtype=torch.float64)
        net.zero_grad()
        with set_checkpoint_early_stop(early_stop):
            y = checkpoint(net, x.requires_grad_(), use_reentrant=reentrant)
        y.pow(3).sum().backward()
    return [p.grad for p in net.parameters()], list(net.buffers())


@every_mode
@pytest.mark.parametrize("momentum", [None, 0.1])
@pytest.mark.parametrize("kind", [norms.BatchNorm1d, norms.SyncBatchNorm])
def test_recomputation_leaves_the_state_of_torchs_layer(kind, momentum, mode):
    ours = recomputed(kind(6, momentum=momentum), mode)
    theirs = recomputed(nn.BatchNorm1d(6, momentum=momentum), mode)
    assert ours[1][2] == theirs[1][2] == 80
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@every_mode
@pytest.mark.parametrize("name", ["ghost", "noisy", "l1", "linf", "relu"])
def test_recomputation_counts_what_it_averages(name, mode):
    """Each batch twice: all else is as in a run without recomputation."""
    make = {**HELD, "relu": norms.BatchNormReLU1d}[name]
    grads, (mean, var, count) = recomputed(make(6, momentum=None), mode, num_batches=5)
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Linear(4, 6), make(6, momentum=None)).double()
    for step in range(5):
        x = step / 10 + (1 + step / 20) * torch.randn(8, 4, dtype=torch.float64)
        plain.zero_grad()
        plain(x).pow(3).sum().backward()
    expected_mean, expected_var, once = plain.buffers()
    assert count == 2 * once
    torch.testing.assert_close([mean, var], [expected_mean, expected_var])
    torch.testing.assert_close(grads, [p.grad for p in plain.parameters()])


@every_mode
def test_renorm_refuses_recomputation(mode):
    with pytest.raises(RuntimeError, match="cannot be trained inside a backward pass"):
        recomputed(norms.BatchRenorm(6), mode)


@pytest.mark.slow
def test_renorm_compiles_into_one_graph():
    layer = norms.BatchRenorm(4)
    compiled = torch.compile(copy.deepcopy(layer), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x := torch.randn(8, 4)), layer(x))


# what has no BatchNorm to find


def test_a_net_in_which_no_batchnorm_is_found_is_told():
    bn = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are deprecated
        scripted, traced = torch.jit.script(bn), torch.jit.trace(bn.eval(), torch.randn(5, 3))
    data = [torch.randn(5, 3)]
    for net, message in (
        (scripted, "torch.jit"),
        (traced, "torch.jit"),
        (nn.Sequential(nn.BatchNorm1d(3), scripted), "torch.jit"),
        (nn.Linear(3, 4), "found no BatchNorm"),
        (nn.BatchNorm1d(3, track_running_stats=False), "found no BatchNorm"),
    ):
        for policy in ("ema", "precise", "batch"):
            with pytest.raises(ValueError, match=message), population(net, policy, data):
                pass
    with (
        pytest.raises(ValueError, match="found no hidden layer"),
        recalibrated(scripted, data, data),
    ):
        pass


class CallsBatchNorm(nn.Module):
    """A net that normalises by a function."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))

    def forward(self, x):
        return nn.functional.batch_norm(x, self.mean, self.var)


def test_a_recorded_call_of_batch_norm_is_told_too():
    net = nn.Sequential(nn.BatchNorm1d(3), torch.fx.symbolic_trace(CallsBatchNorm()))
    with pytest.raises(ValueError, match=r"torch\.export"), population(net, "ema"):
        pass
    with population(torch.fx.symbolic_trace(nn.Sequential(norms.BatchNorm1d(3))), "ema"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "reference", "native"])
def test_an_exported_net_is_told_too(backend):
    bn = nn.BatchNorm1d(4) if backend == "torch" else norms.BatchNorm1d(4, backend=backend)
    net = nn.Sequential(nn.Linear(3, 4), bn).eval()
    exported = torch.export.export(net, (torch.randn(5, 3),)).module()
    for found in (exported, nn.Sequential(nn.BatchNorm1d(3), exported)):
        with pytest.raises(ValueError, match=r"torch\.export"), population(found, "ema"):
            pass


@pytest.mark.slow
def test_a_compiled_net_follows_the_policy():
    net = net_with(norms.BatchNorm2d).eval()
    compiled = torch.compile(net, backend="eager")
    compiled(X)
    with population(compiled, "batch"):
        inside = compiled(X)
    with population(net, "batch"):
        torch.testing.assert_close(inside, net(X))
    torch.testing.assert_close(compiled(X), net(X))


# traces, exports


@every_kind
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated, and warns of constants
def test_traced_and_exported_nets_evaluate_as_the_net(kind):
    net = net_with(kind).eval()
    traced = torch.jit.trace(net, X)
    torch.testing.assert_close(traced(X[:4]), net(X[:4]))
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(net, (X,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(X[:4]), net(X[:4]))
    saved = io.BytesIO()
    torch.jit.save(traced, saved)
    saved.seek(0)
    torch.testing.assert_close(torch.jit.load(saved)(X), net(X))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_scripting_is_refused():
    with pytest.raises(torch.jit.frontend.NotSupportedError, match="keyword-only"):
        torch.jit.script(norms.BatchNorm2d(3))


@every_kind
def test_vmap_evaluates_as_the_net(kind):
    net = net_with(kind).eval()
    stacked = torch.stack([X, X + 1])
    torch.testing.assert_close(torch.func.vmap(net)(stacked)[1], net(stacked[1]))


# empty batches, and what is not finite


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (4, 3, 0), (0, 3, 2, 2), (2, 3, 0, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_every_norm_passes_an_empty_batch(name, training, shape):
    if name in ("groupnorm", "layernorm", "instancenorm") or (
        len(shape) == 2 and name in ("lrn", "batchnorm_lrn")
    ):
        pytest.skip("torch's own, or not for this rank")
    layer = NORMS[name](3, len(shape) - 2).train(training)
    x = torch.zeros(shape, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == shape
    assert all(p.grad is None or p.grad.tolist() == [0, 0, 0] for p in layer.parameters())
    state = {k: v for k, v in layer.state_dict().items() if "running" in k}
    assert all(v.eq(k.endswith("var")).all() for k, v in state.items())


@pytest.mark.parametrize("policy", ["ema", "cumulative", "precise", "batch", "blend"])
def test_batches_without_images_do_not_count(policy):
    net, empty = net_with(norms.BatchNorm2d), X[:0]
    with population(net, policy, [X[:4], X[4:]]):
        expected = net(X)
    with population(net, policy, [empty, X[:4], empty, X[4:]]):
        torch.testing.assert_close(net(X), expected)
        assert net(empty).shape == (0, 4, 3, 3)


@pytest.mark.parametrize(
    "values", [(torch.inf,), (-torch.inf,), (torch.nan,), (1e30,), (3e4, 1e30)]
)
@pytest.mark.parametrize("rows", [(0,), (3,), (0, 3)])
@pytest.mark.parametrize("rank", [2, 3, 4, 5])
@pytest.mark.parametrize("backend", ["reference", CPP])
def test_what_is_not_finite_stays_in_its_channel_and_is_kept_as_by_torch(
    backend, rank, rows, values
):
    name = f"BatchNorm{ ({2: '1d', 3: '1d', 4: '2d', 5: '3d'}[rank]) }"
    results = []
    for layer in (getattr(norms, name)(3, backend=backend), getattr(nn, name)(3)):
        torch.manual_seed(5)
        x = torch.randn([8, 3, 2, 2, 2][:rank])
        for row, value in zip(rows, values * 2, strict=False):
            x[row, 1] = value
        x.requires_grad_()
        layer(x).sum().backward()
        results.append([x.grad, *layer.buffers(), layer.eval()(x.detach())])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert results[0][1][[0, 2]].isfinite().all()


@pytest.mark.parametrize("values", [(torch.inf, 0), (-torch.inf, 0, 1), (0, torch.inf, -torch.inf)])
@pytest.mark.parametrize("momentum", [0.1, 0.5, 0.7, 1.0, None])
@pytest.mark.parametrize("backend", ["reference", CPP])
def test_running_statistics_stay_infinite_as_those_of_torch(backend, momentum, values):
    layers = [
        norms.BatchNorm1d(2, momentum=momentum, backend=backend),
        nn.BatchNorm1d(2, momentum=momentum),
    ]
    for value in values:
        x = torch.tensor([[value, 1.0], [1.0, 2.0], [2.0, 4.0]])
        for layer in layers:
            layer(x)
    own, torchs = ([*layer.buffers()] for layer in layers)
    torch.testing.assert_close(own, torchs, equal_nan=True)
