"""The benchmark: every method on the same faces, sentences and strengths, against the true edit.

`prompts` and `faces` say what is measured, `rows` who edits, `columns` how an edit is judged,
`records` what is kept of it, `summary` what follows; `tables`, `plots` and `sheets` show it, and
`run` does all that in order: `python -m training.evaluate --set renders --methods all`.
"""
