"""A fake Google Cloud, and tests that the genuine clients do not notice the difference."""
