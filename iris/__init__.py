"""Iris runs Python jobs on fleets of accelerators that come and go."""

__version__ = "0.1.0"
