"""The Space's page, in pieces; `app.py` puts them together.

It lives beside the package, not inside it: `faceedit` must not need gradio, and one file with
every tab would be too long to read. Nothing here does model mathematics; all edits go through
`FaceEditor`.

    settings.py   what the operator can switch, by environment variables
    loading.py    the networks, loaded in the background; ZeroGPU
    doors.py      which files a request may name
    words.py      errors and short texts for people
    people.py     faces that nobody has, rendered ahead of time
    truth.py      a sentence as the renderer's own exact change
    menu.py       the methods that can be chosen here, and how long they take
    subject.py    whose face is being edited
    inputs.py     what all tabs share: whose face, what should change, and where
    measures.py   what is said of a result: sentence, identity, collateral, layers
    files.py      pictures and zips on disk, labelled, deleted after an hour
    examples.py   people to begin with, and the edit that the page opens with
    stage.py      the picture before and after, the strength, the last edits; the Edit tab
    compare.py    the other tabs: what they do and how they look
    compose.py
    guide.py
    style.py      CSS and the little JavaScript
"""
