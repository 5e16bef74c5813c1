"""Plant faults one at a time; do the tests catch them? `python tests/tools/faults.py [WORD …]`.

Each fault is an edit of one line of the package. It is made in a copy of the checkout, in which the
named tests then run, the unmarked ones, until the first fails. Prints a row of a table for each:
what was broken, and the test that caught it. Exit code 1 if a fault was missed, or if its line is
not there any more: a fault follows the code that it breaks.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".venv", "__pycache__", "runs", "wandb")


class Fault(NamedTuple):
    """An edit that breaks something, and the tests that should tell.

    Attributes:
        what: is wrong then.
        line: a piece of one line of the package, which stands in it once.
        broken: the piece in its place.
        tests: files and folders below tests/.
    """

    what: str
    line: str
    broken: str
    tests: str


LAYER = (
    Fault(
        "running_var takes the biased variance",
        "unbiased=m / (m - 1)",
        "unbiased=1.0",
        "norms/test_norms_batchnorm.py norms/test_norms_baselines.py",
    ),
    Fault(
        "momentum weighs the old statistics",
        "running.mul_(1 - momentum).add_(batch, alpha=momentum * unbiased)",
        "running.mul_(momentum).add_(batch, alpha=(1 - momentum) * unbiased)",
        "norms/test_norms_batchnorm.py norms/test_norms_baselines.py",
    ),
    Fault(
        "eps is left out in training",
        "y = c.mul_(column(scale_by((sigma2 + eps).rsqrt(), weight), x))",
        "y = c.mul_(column(scale_by(sigma2.rsqrt(), weight), x))",
        "norms/test_norms_functional.py",
    ),
    Fault(
        "the gradient divides by m - 1",
        "dx = torch.addcmul(dy, x_hat, column(dgamma, x), value=-1 / m)",
        "dx = torch.addcmul(dy, x_hat, column(dgamma, x), value=-1 / (m - 1))",
        "norms/test_norms_functional.py",
    ),
    Fault(
        "the gradient keeps its mean",
        ".sub_(column(dbeta, x), alpha=1 / m)",
        ".sub_(column(dbeta, x), alpha=0.0)",
        "norms/test_norms_functional.py",
    ),
    Fault(
        "no shift: the mean is rounded at its own size",
        "return _to(_compute_dtype(x), first.nan_to_num(0.0, 0.0, 0.0))",
        "return _to(_compute_dtype(x), first * 0.0)",
        "norms/test_norms_functional.py",
    ),
    Fault(
        "second derivatives take mu and sigma2 for constants",
        "if torch.is_grad_enabled():  # for a second derivative",
        "if False:  # for a second derivative",
        "norms/test_norms_functional.py",
    ),
    Fault(
        "a layer without running statistics fails in evaluation",
        "training=self.training or not has_statistics",
        "training=self.training",
        "norms/test_norms_batchnorm.py norms/test_norms_baselines.py",
    ),
    Fault(
        "momentum=None counts from zero",
        "return 1 / float(self.num_batches_tracked) if",
        "return 1 / (1 + float(self.num_batches_tracked)) if",
        "norms/test_norms_batchnorm.py norms/test_norms_baselines.py",
    ),
    Fault(
        "blend weighs the batch as its prior",
        "share = len(x) / (prior + len(x))",
        "share = prior / (prior + len(x))",
        "norms/test_norms_policies.py norms/test_norms_population.py",
    ),
    Fault(
        "the kernel adds half of its lanes",
        "sums[j] = lanes[j] + lanes[j + n / 2];",
        "sums[j] = lanes[j] + lanes[j];",
        "norms/test_norms_kernels.py",
    ),
)
TRAINING = (
    Fault(
        "weight decay falls on weights that are spared",
        "without = {*spared, *(p for p in trained if p.ndim <= 1)}",
        "without = {p for p in trained if p.ndim <= 1}",
        "training/test_training_rescaling.py",
    ),
    Fault(
        "weights take the square of a norm",
        "weight.mul_(torch.div(*sizes).to(weight.dtype))",
        "weight.mul_(torch.div(*sizes).square().to(weight.dtype))",
        "training/test_training_rescaling.py",
    ),
    Fault(
        "a task is trained on the images of all",
        "rows = [(tasks == task).nonzero()[:, 0]",
        "rows = [(tasks >= 0).nonzero()[:, 0]",
        "data/test_data_batches.py",
    ),
    Fault(
        "tasks share their draws",
        'derive_seed(seed, "task", k), composition)',
        "seed, composition)",
        "data/test_data_batches.py",
    ),
    Fault(
        "an image is scored among all tasks but its own",
        "logits.masked_fill(task != task[labels][:, None]",
        "logits.masked_fill(task == task[labels][:, None]",
        "training/test_training_evaluation.py",
    ),
    Fault(
        "a task's accuracy is a share of all images",
        "of_images.where(own, 0.0).sum(1) / own.sum()",
        "of_images.where(own, 0.0).mean(1)",
        "training/test_training_evaluation.py",
    ),
    Fault(
        "the ends of tasks are ordinary points",
        "if step * tasks % points[-1] == 0}",
        "if step == points[-1]}",
        "config/test_config_points.py",
    ),
    Fault(
        "the effective rate divides by the norm",
        "batch.rate / size.square()",
        "batch.rate / size",
        "probes/test_probes_weights.py",
    ),
)
STATISTICS = (
    Fault(
        "standard deviations with ddof=0",
        "finite.std(ddof=1)",
        "finite.std(ddof=0)",
        "analysis/test_analysis_stats.py",
    ),
    Fault(
        "Bonferroni in the place of Holm",
        "p * (len(tested) - rank)",
        "p * len(tested)",
        "analysis/test_analysis_inference.py",
    ),
    Fault(
        "equivalence by one of its two tests",
        "any(map(math.isnan, p)) else max(p)",
        "any(map(math.isnan, p)) else min(p)",
        "analysis/test_analysis_inference.py",
    ),
    Fault(
        "what was not reached shows that something is slow",
        '{(): "", (True,): "at least", (False,): "at most"}',
        '{(): "", (True,): "at most", (False,): "at least"}',
        "analysis/test_analysis_inference.py",
    ),
    Fault(
        "one part confirms a claim of several",
        "math.nan if any(map(math.isnan, p_values)) else max(p_values)",
        "math.nan if any(map(math.isnan, p_values)) else min(p_values)",
        "claims",
    ),
    Fault(
        "an effect of the other sign is contrary only beyond the bound",
        "short_of(part.null), greatest_of(smaller), none)",
        "short_of(-bound), greatest_of(smaller), none)",
        "claims/test_claims_judge.py",
    ),
    Fault(
        "one norm in two begins with the second layer",
        "NormLayers.alternate: range(1, layers + 1, 2)",
        "NormLayers.alternate: range(2, layers + 1, 2)",
        "models/test_models_nets.py",
    ),
    Fault(
        "a norm on the data of a convolutional net is not used",
        "self.head(self.features(self.input(images)).flatten(1))",
        "self.head(self.features(images).flatten(1))",
        "models/test_models_nets.py",
    ),
    Fault(
        "raw pixels end at 256",
        "Pixels.bytes: 255}",
        "Pixels.bytes: 256}",
        "data/test_data_datasets.py",
    ),
    Fault(
        "splits of a class are drawn from a fixed start",
        "start = torch.rand((), dtype=torch.float64, generator=generator)",
        "start = 0.5",
        "data/test_data_datasets.py",
    ),
    Fault(
        "an upper bound may confirm that something is large",
        'math.nan if "at most" in bounds else test(values, bound)',
        "test(values, bound)",
        "claims",
    ),
    Fault(
        "runs that saw their test images are compared",
        'if number := mark["overlap"]:',
        'if number := 0 * mark["overlap"]:',
        "claims",
    ),
    Fault(
        "a gap has the other sign",
        "return compared(treatment, baseline, *numbers, at=at, tuning=tuning)",
        "return compared(baseline, treatment, *numbers[::-1], at=at, tuning=tuning)",
        "claims",
    ),
    Fault(
        "the final evaluation in the place of the last five",
        "last_mean(curves[s][1], GUESS)",
        "curves[s][1][-1]",
        "claims",
    ),
    Fault(
        "a value on the bound helps the sign test",
        "(given > bound + ROUNDING * max(1.0, abs(bound)))",
        "(given >= bound)",
        "analysis/test_analysis_inference.py",
    ),
    Fault(
        "equal values are certain",
        "        return p_median_above(values, bound)\n",
        "        return 0.0 if given[0] > bound else 1.0\n",
        "analysis/test_analysis_inference.py",
    ),
    Fault(
        "a growing rate grows as without momentum",
        "return (middle + math.sqrt(middle**2 - 4 * momentum)) / 2",
        "return middle - momentum",
        "measured/test_measured_exact.py",
    ),
    Fault(
        "a stable rank is of squares over a length",
        "return squares.sum() / squares.max()",
        "return squares.sum() / squares.max().sqrt()",
        "measured/test_measured_random_nets.py",
    ),
    Fault(
        "an angle of an image with itself counts",
        "return (cosines.sum() - cosines.diagonal().sum()) / (n * (n - 1))",
        "return cosines.sum() / (n * n)",
        "measured/test_measured_random_nets.py",
    ),
    Fault(
        "a vector of Lanczos' method is orthogonal to the last one alone",
        "vector = vector - basis[: k + 1].T @ (basis[: k + 1] @ vector)",
        "vector = vector - basis[k] * (basis[k] @ vector)",
        "probes/test_probes_curvature.py",
    ),
    Fault(
        "the second moments of a layer's inputs are about their mean",
        "moments = x @ x.T / x.shape[1]",
        "moments = x.cov(correction=0)",
        "probes/test_probes_activations.py",
    ),
    Fault(
        "equivalence has the power of its better test",
        "ndtr(high / error - margins) - ndtr(low / error + margins)",
        "ndtr(high / error - margins)",
        "analysis/test_analysis_power.py",
    ),
    Fault(
        "the first edge that bisection meets is the largest stable rate",
        "found[-1]], arms[found[-1]]",
        "found[0]], arms[found[0]]",
        "claims/test_claims_stability.py",
    ),
    Fault(
        "of equal rates the largest is chosen",
        "return next(k for k, score in enumerate(scores) if",
        "return max(k for k, score in enumerate(scores) if",
        "request claims",
    ),
    Fault(
        "one lucky evaluation is a crossing",
        "inner = (median(values[k - 1 : k + 2])",
        "inner = (max(values[k - 1 : k + 2])",
        "config",
    ),
    Fault(
        "a threshold that was missed is left out of the median",
        "reached.fillna(np.inf).median()",
        "reached.median()",
        "analysis",
    ),
)
ANSWERS = (
    Fault(
        "seeds differ by their distance from the mean",
        "return (values - values.median()).abs()",
        "return (values - values.mean()).abs()",
        "claims/test_claims_spread.py",
    ),
    Fault(
        "gains are beside the losses of the same seeds",
        "number(study, b, study.runs(b, tuning=True)).mean()",
        "number(study, b, study.runs(b)).mean()",
        "claims/test_claims_spread.py",
    ),
    Fault(
        "a norm is undone without eps",
        "(x.var(1, correction=0) + state.eps).sqrt()",
        "x.var(1, correction=0).sqrt()",
        "probes/test_probes_activations.py",
    ),
    Fault(
        "an answer subtracts the treatment from its baseline",
        "pairs = [one - other for one, other in zip(ones, others, strict=True)]",
        "pairs = [other - one for one, other in zip(ones, others, strict=True)]",
        "analysis/test_analysis_answers.py",
    ),
    Fault(
        "as good as another at chance is as good",
        "good = [r for r in levels if _has_trained(r) and r.difference.low > -spec.margin]",
        "good = [r for r in levels if r.difference.low > -spec.margin]",
        "analysis/test_analysis_answers.py",
    ),
    Fault(
        "the least severity of a shift is told",
        "greatest[found[1]] = max(greatest.get(found[1], 0), int(found[2]))",
        "greatest[found[1]] = int(found[2])",
        "analysis/test_analysis_answers.py",
    ),
    Fault(
        "levels at which some runs train count",
        "return own is not None and 0 < own.trained == own.ended",
        "return own is not None and 0 < own.trained",
        "analysis/test_analysis_answers.py",
    ),
)
RUNS = (
    Fault(
        "two orders of thresholds are two arms",
        'train["thresholds"] = sorted(train["thresholds"])',
        'train["thresholds"] = list(train["thresholds"])',
        "config",
    ),
    Fault(
        "all purposes of a run share one seed",
        'text = "/".join(map(str, (seed, *purpose)))',
        'text = "/".join(map(str, (seed,)))',
        "config",
    ),
    Fault(
        "a seed may both tune and report",
        "if both := sorted({*reported} & {*seeds}):",
        "if both := sorted({*reported} & set()):",
        "config test_cli.py request",
    ),
    Fault(
        "a net at chance counts as one that trains",
        'return RunResult(summary["status"] == "done" and not summary["stuck"], curves)',
        'return RunResult(summary["status"] == "done", curves)',
        "request/test_request_tuning.py",
    ),
    Fault(
        "rates are compared on the batches that are reported",
        "batches=config.tune.batches or config.data.batches",
        "batches=config.data.batches",
        "request/test_request_tuning.py",
    ),
    Fault(
        "rates are compared by the end whatever is judged",
        "if by == Criterion.area:",
        "if by == Criterion.area and not val_all[1]:",
        "request/test_request_tuning.py",
    ),
    Fault(
        "a bisection ends one rate early",
        "return (self.fails - self.trains - 1).bit_length()",
        "return (self.fails - self.trains - 1).bit_length() // 2",
        "request/test_request_bisection.py",
    ),
    Fault(
        "fresh seeds tune too",
        "return seed if seed in TUNING_SEEDS else seed + FRESH",
        "return seed + FRESH",
        "config commands/test_commands_fresh.py",
    ),
    Fault(
        "a run's fingerprint is of its first batch alone",
        '"batches": tensor_digest(batches(run, FIRST)),',
        '"batches": tensor_digest(batches(run, 1)),',
        "test_train.py",
    ),
    Fault(
        "two processes may train one run",
        "way = fcntl.LOCK_SH if shared else fcntl.LOCK_EX",
        "way = fcntl.LOCK_SH",
        "tracking",
    ),
    Fault(
        "a curve that was altered is believed",
        "if want is not None and hashlib.sha256(text).hexdigest() != want:",
        "if False and hashlib.sha256(text).hexdigest() != want:",
        "tracking test_damage.py",
    ),
    Fault(
        "a torn line is read",
        'whole = file.read().split(b"\\n")[1 if start else 0 : -1]',
        'whole = file.read().split(b"\\n")[1 if start else 0 :]',
        "tracking running",
    ),
    Fault(
        "links out of the results are followed",
        "mode = os.lstat(place).st_mode",
        "mode = os.stat(place).st_mode",
        "tracking test_strangers.py pages/test_pages_strangers.py",
    ),
    Fault(
        "an error of an earlier sweep counts as this one's",
        "modified(run.error) not in (None, self.stale[run])",
        "modified(run.error) is not None",
        "running test_sweep.py",
    ),
    Fault(
        "diverged runs are told as done",
        '"status": "diverged" if diverged else "done"',
        '"status": "done"',
        "test_train.py",
    ),
    Fault(
        "the last evaluation is on the subset",
        'keys |= {"val_all": ("val", sizes["val"])',
        'keys |= {"val_all": keys["val"]',
        "test_train.py",
    ),
)
PROBES = (
    Fault(
        "an attack knows no range of pixels",
        "high = torch.minimum(unseen.images + epsilon / std, (1 - mean) / std)",
        "high = unseen.images + epsilon / std",
        "probes/test_probes_attacks.py",
    ),
    Fault(
        "an attack is as large in normalised images as in pixels",
        "return (unseen.images + column(epsilon / unseen.std) * slope.sign())",
        "return (unseen.images + column(epsilon / unseen.std**0) * slope.sign())",
        "probes/test_probes_attacks.py",
    ),
    Fault(
        "an attack is of the cross-entropy, which a sure net rounds to zero",
        "torch.autograd.grad(against.sum(), x)",
        "torch.autograd.grad(nn.functional.cross_entropy(logits, labels), x)",
        "probes/test_probes_attacks.py",
    ),
    Fault(
        "units are taken away from the last place on",
        "[accuracy(rank >= round(",
        "[accuracy(rank < round(",
        "probes/test_probes_units.py",
    ),
)
FAULTS = (*PROBES, *LAYER, *TRAINING, *STATISTICS, *ANSWERS, *RUNS)


def main() -> int:
    """Plant what the command line asks for, by default every fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("only", nargs="*", help="words of faults")
    args = parser.parse_args()
    chosen = [f for f in FAULTS if not args.only or any(word in f.what for word in args.only)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(ROOT, Path(folder) / "copy", ignore=NOT_COPIED))
        (copy / ".venv").symlink_to(ROOT / ".venv")
        needed = sorted({name for fault in chosen for name in fault.tests.split()})
        if failed := first_failure(needed, copy):
            print(f"{failed} fails without any fault")
            return 1
        for fault in chosen:
            caught = planted(fault, copy)
            missed += not caught
            print(f"| {fault.what} | {caught or 'MISSED'} |", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults caught")
    return int(bool(missed))


def planted(fault: Fault, copy: Path) -> str:
    """Run the tests of a fault in a copy of the checkout: the first that fails, or nothing."""
    sources = [p for p in (copy / "bnbench").rglob("*") if p.suffix in (".py", ".cpp")]
    found = [p for p in sources if fault.line in p.read_text(encoding="utf-8")]
    if len(found) != 1:
        return ""
    whole = found[0].read_text(encoding="utf-8")
    assert whole.count(fault.line) == 1, fault.what
    found[0].write_text(whole.replace(fault.line, fault.broken), encoding="utf-8")
    try:
        return first_failure(fault.tests.split(), copy)
    finally:
        found[0].write_text(whole, encoding="utf-8")


def first_failure(names: Sequence[str], copy: Path) -> str:
    """Run tests in a copy of the checkout until one fails: its name, or nothing."""
    tests = [f"tests/{name}" for name in names]
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?(\w+)\.py(?:::(\w+))?", answer.stdout, re.M)
    return "::".join(filter(None, failed[0])) if failed else ""


if __name__ == "__main__":
    sys.exit(main())
