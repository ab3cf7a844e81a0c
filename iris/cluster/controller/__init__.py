"""The controller's process: the same turn as in a simulation, around sockets, a disk and a real clock."""
