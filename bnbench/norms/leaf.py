"""Layers that torch.fx records as one call, without a look inside."""

from typing import Any


class Leaf:
    """A module that torch.fx takes for one operation, as it does torch's own layers.

    Tracers (`torch.fx.symbolic_trace`, torchvision's `create_feature_extractor`, the quantisation
    of `torch.ao`) go by the namespace that an instance names. A layer recorded as one call keeps
    its buffers and follows `.training`; a trace of the formulas would do neither. The class itself,
    by which modules are pickled, names its own module.
    """

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Make an instance that names torch's namespace."""
        layer = super().__new__(cls)
        vars(layer)["__module__"] = "torch.nn"
        return layer
