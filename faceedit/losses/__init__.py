"""Losses that several methods share, each in the file of its idea."""
