"""Timings of the training loop, of the layer, of whole runs, and of the arms of a request.

Begin with `loop`, which has the paired, interleaved timing that the others use.
"""
