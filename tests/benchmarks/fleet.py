"""A month of four thousand preemptible workers: wall time, memory, turns, and what of it is SimPy's own."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.clockwork import Clockwork
from sim.measure import Measures
from sim.scenario import load_scenario
from sim.world import World
from tests.benchmarks.figures import Figure, timed
