"""The Python client and what it sends."""
