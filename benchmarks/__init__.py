"""Speed and memory, each beside the textbook formulation that a user would otherwise run."""
