"""Pictures for a slide, of real runs: loss landscapes, an error surface, activations by layer.

Trains and draws; docs/gallery.md describes each picture. Begin with `make`.
"""
