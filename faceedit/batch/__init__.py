"""Folders of photos: which are to be edited, in how many processes, and what was made of each."""
