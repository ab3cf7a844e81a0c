"""The real processes: controller, workers, provider, and what befalls them."""
