"""The simulator: dice, scenarios, traces, workloads, results and whole runs."""
