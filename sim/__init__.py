"""The simulator: a second driver for the same core, under SimPy, against a fake cloud."""
