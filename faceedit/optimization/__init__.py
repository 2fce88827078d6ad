"""Descents, guidance and line searches: how an edit is found without a network trained for it."""
