"""Properties of the controller under arbitrary histories, held against a world that keeps the truth."""
