"""Official weights in one command: what there is, where from, under which licence, and making it.

`sources` reads the list of files, `download` fetches one, `plan` says what is to be done, `run`
does it, and `check` edits a face by every method. Importing the package is cheap.
"""
