"""Pictures for a slide, of real runs: loss landscapes, an error surface, activations by layer.

docs/gallery.md says what each shows; `scripts/gallery.py` trains what is missing and draws.
"""

from bnbench.analysis import matplotlib_import  # noqa: F401  (before anything imports it)
