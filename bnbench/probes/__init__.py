"""Measurements of a net beside its accuracy, which leave it bit for bit as it was.

docs/probes.md has the formulas and their sources. A probe is made for each run. Begin with
`passes`, which every probe uses and which leave no trace, then `gradients`.
"""

from collections.abc import Callable

from bnbench.probes.activations import Drift, activations, histogram, saturation, variance
from bnbench.probes.gradients import gradients, ics
from bnbench.probes.landscape import landscape
from bnbench.probes.passes import Batch as Batch
from bnbench.probes.passes import Probe as Probe
from bnbench.probes.weights import weights

PROBES: dict[str, Callable[[], Probe]] = {
    "gradients": lambda: gradients,
    "activations": lambda: activations,
    "histogram": lambda: histogram,
    "drift": Drift,
    "saturation": lambda: saturation,
    "variance": lambda: variance,
    "weights": lambda: weights,
    "ics": lambda: ics,
    "landscape": lambda: landscape,
}
