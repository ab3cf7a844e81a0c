"""The dashboard: pages rendered here, of a live cluster or of a simulation, kept current in the browser.

It shows and decides nothing. What it is told stands in `subject`; whoever runs a controller, real or
simulated, supplies one. It needs the extra `server`.
"""

from typing import Final

NEEDS: Final = ("jinja2", "prometheus_client", "starlette", "uvicorn")
"""Modules of that extra."""
