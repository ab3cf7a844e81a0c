"""Commands, run in process and as processes."""
