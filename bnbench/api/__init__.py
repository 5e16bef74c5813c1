"""What Python users call, through the same doors as the command line.

`import bnbench as bn` resolves its public names here on first use. Begin with `results`.
"""
