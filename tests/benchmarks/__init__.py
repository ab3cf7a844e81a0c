"""How fast the sizes of the contract are reached, each beside something to hold it against.

`python -m tests.benchmarks` prints one table. Figures are measured and told, never asserted: the
test in here only runs each program at a very small size, so that it cannot rot.
"""
