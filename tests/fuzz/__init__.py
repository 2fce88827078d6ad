"""Hostile inputs in large numbers: `make fuzz`, or `python -m tests.fuzz --count 10000`."""
