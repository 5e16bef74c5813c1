"""docs/card.md: each of its numbers is that of the committed board, or of the code."""

import json
import re

import pandas as pd

from bnbench import ROOT
from bnbench.analysis.verdicts import TRAINING, read_claims
from bnbench.config.schema import DATA_SHAPES, DATA_SIZES, NUM_CLASSES

TEXT = " ".join((ROOT / "docs" / "card.md").read_text(encoding="utf-8").replace("*", "").split())
REFERENCE = ROOT / "results" / "reference"
BOARD = REFERENCE / "claims" / "digits"
JUDGED = [
    claim
    for claim in read_claims(BOARD)
    if claim.kind == TRAINING and claim.row["verdict"] != "not run here"
]


def told(pattern):
    """The numbers that stand in the only place of the page that fits a pattern."""
    (found,) = re.findall(pattern, TEXT)
    return tuple(int(n.replace(",", "")) for n in ((found,) if isinstance(found, str) else found))


def test_data_sets_have_the_told_sizes():
    digits = told(r"digits: ([\d,]+) images of (\d+) by (\d+) pixels, (\d+) classes")
    assert digits == (sum(DATA_SIZES["digits"]), *DATA_SHAPES["digits"][1:], NUM_CLASSES)
    clothes = told(r"Fashion-MNIST and MNIST \(([\d,]+) images of (\d+) by (\d+)\)")
    for name in ("fashion_mnist", "mnist"):
        assert clothes == (sum(DATA_SIZES[name]), *DATA_SHAPES[name][1:])
    objects = told(r"CIFAR-10 \(([\d,]+) of (\d+) by (\d+)\)")
    assert objects == (sum(DATA_SIZES["cifar10"]), *DATA_SHAPES["cifar10"][1:])
    assert told(r"Digits have (\d+) test images") == (DATA_SIZES["digits"][2],)


def test_nets_have_the_told_parameters():
    runs = pd.read_csv(REFERENCE / "experiments" / "placement" / "digits" / "runs.csv")
    bare = runs[runs["norm.name"] == "none"].groupby("model.name")["parameters"].unique()
    mlp, vgg = told(r"as shipped ([\d,]+) parameters .*\(VGG\), as shipped ([\d,]+);")
    assert {name: list(numbers) for name, numbers in bare.items()} == {"mlp": [mlp], "vgg": [vgg]}


def test_budgets_are_those_of_the_judged_claims():
    numbers = [
        int(text.replace(",", ""))
        for claim in JUDGED
        for text in re.findall(r"([\d,]+) steps", claim.view.statistic)
    ]
    least, most, usual, judged, steps = told(
        r"judged claims: (\d+) to ([\d,]+) steps, (\d+) of (\d+) with (\d+) steps"
    )
    assert (least, most) == (min(numbers), max(numbers))
    of_usual = [claim for claim in JUDGED if f" {steps} steps" in claim.view.statistic]
    assert (usual, judged) == (len(of_usual), len(JUDGED))


def test_seeds_are_those_of_the_judged_claims():
    n = [int(claim.row["n"]) for claim in JUDGED]
    assert told(r"Seeds \| judged claims: (\d+) to (\d+)") == (min(n), max(n))


def test_verdicts_that_are_open_or_depend_on_a_choice_are_counted():
    undecided = sum(claim.row["verdict"] == "undecided" for claim in JUDGED)
    assert told(r"(\d+) claims wait for more seeds") == (undecided,)
    depends = sum(bool(claim.row["depends_on"]) for claim in JUDGED)
    assert told(r"(\d+) verdicts depend on a choice") == (depends,)
    table = pd.read_csv(BOARD / "replication.csv").set_index("claim")
    own = table["replicated"].reindex([claim.view.id for claim in JUDGED]).dropna()
    same = told(r"On fresh seeds (\d+) of the (\d+) that were tried again are the same")
    assert same == (int((own == "yes").sum()), len(own))


def test_the_circumstances_are_those_of_the_judging():
    judged = json.loads((BOARD / "judged.json").read_text(encoding="utf-8"))
    added = [c.view.id for c in JUDGED if c.view.id not in judged["taken"]]
    assert told(r"The (\d+) that were added last") == (len(added),)
    assert f"at commit {judged['git_commit'][:12]} with the others taken" in TEXT
    assert f"with torch {judged['versions']['torch']}, on a CPU with 2 cores" in TEXT
    assert judged["device"] == "cpu, 2 cores"
    assert not judged["git_dirty"]


def test_the_card_says_what_cannot_be_concluded():
    assert "## What can be concluded" in TEXT
    assert "## What cannot" in TEXT
    for word in ("ImageNet", "transformers", "CIFAR-10", "steps", "optimiser", "shifts"):
        assert word in TEXT.partition("## What cannot")[2]
