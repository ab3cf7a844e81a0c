"""The deterministic core: facts in, decisions and requests out.

Nothing in this package reads a clock, rolls dice, does I/O, starts a thread or logs. It is told
the time with every step, so that the simulator and production run the very same code.
"""
