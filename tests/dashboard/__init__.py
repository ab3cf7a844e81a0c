"""The dashboard: its pages in process, on a real controller, and in a real browser."""
