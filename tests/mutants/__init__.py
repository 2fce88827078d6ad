"""Small faults planted in a copy of the tree, to see whether tests notice: `make mutants`."""
