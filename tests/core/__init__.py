"""The core's modules, one file of examples each."""
