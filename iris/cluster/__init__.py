"""The processes of a real cluster: the controller, its workers, and what gives it machines."""
