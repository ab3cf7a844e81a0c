"""What no tool enforces drifts: here the style, the layers and the pages are tests."""
