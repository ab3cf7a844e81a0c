"""What gives slices and takes them back: one module for each kind of provider."""
