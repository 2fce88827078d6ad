"""The commands of the command line: what each may be given, and what it does."""
