"""The plugin of docs/extend/plugin.md, and others made of it, for tests."""

from documents import blocks

from bnbench import ROOT

PAGE = ROOT / "docs" / "extend" / "plugin.md"
MEDIAN = blocks(PAGE)[0].text
NAME = "median_batchnorm"
MODEL = '''
from torch import nn
from bnbench.models import MLP

class Wide(MLP):
    """A perceptron."""

MODELS = {"wide": Wide}
OPTIONS = {"wide": {"widths": [20, 20], "activation": "tanh"}}
'''
SHIFT = '''
def fog(images, level, seed):
    """Mix with white."""
    return images + level * (1 - images)

SHIFTS = {"fog": fog}
SEVERITIES = {"fog": (0.1, 0.2, 0.3, 0.4, 0.5)}
'''
BRANCH = """        if self.training:
            values = input.transpose(0, 1).flatten(1)
            median = values.median(1).values
            deviation = (values - median[:, None]).abs().mean(1)
"""
FLAT = """        values = input.transpose(0, 1).flatten(1)
        median = values.median(1).values
        deviation = (values - median[:, None]).abs().mean(1)
        if self.training:
"""
SUM = "(input - median.view(column)) * scale.view(column) + self.bias.view(column)"
FAULTS = {  # by the contract that each breaks: replacements in the text
    "evaluation": {BRANCH: FLAT},
    "state": {
        f'"running_{name}", torch.{kind}(num_features)': (
            f'"running_{name}", torch.{kind}(num_features), persistent=False'
        )
        for name, kind in (("median", "zeros"), ("deviation", "ones"))
    },
    "gradient": {"(input - median.view": "(input - median.detach().view"},
    "dtype": {SUM: f"({SUM}).float()"},
    "input": {
        "        column = (": "        input.data.clamp_(min=-1)\n        column = (",
    },
    "determinism": {
        "import torch\n": "import random\n\nimport torch\n",
        SUM: f"{SUM} + 1e-3 * random.random() * input.detach()",
    },
    "finite": {
        "        scale = ": "        deviation = deviation.square().sqrt()\n        scale = ",
    },
    "shape": {SUM: f"({SUM}).flatten(1)"},
    "training": {"            self.running_median.lerp_(": "            median.lerp("}
    | {"            self.running_deviation.lerp_(": "            deviation.lerp("},
    "memory format": {SUM: f"({SUM}).contiguous()"},
}


def planted(fault, text=MEDIAN):
    """The median norm with a fault in it."""
    for old, new in FAULTS[fault].items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
