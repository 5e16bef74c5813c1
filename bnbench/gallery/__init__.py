"""Pictures for a slide, of real runs: loss landscapes, an error surface, activations by layer.

Trains and draws; docs/gallery.md says what each picture shows. Begin with `make`.
"""

from bnbench.drawing import matplotlib_import  # noqa: F401  (before anything imports matplotlib)
