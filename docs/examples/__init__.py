"""Programs for a cluster on this machine, each started by one command that its first lines name."""
