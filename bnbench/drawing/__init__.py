"""Every mark on paper: figures of experiments, of claims, of `make bench`.

Gets numbers from `analysis` and writes no page. Begin with `plots`, which draws the figure that an
experiment declares; `style` has the looks.
"""

from bnbench.drawing import matplotlib_import  # noqa: F401  (before anything imports matplotlib)
