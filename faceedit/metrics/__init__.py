"""Measures of edits and of generated portraits: numbers in, numbers out, nothing printed."""
