"""The wire: its table, its codec, its errors."""
