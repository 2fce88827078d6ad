"""What trainings learn from: rendered faces, their true edits, and how they are varied."""
