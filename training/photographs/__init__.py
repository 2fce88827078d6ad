"""Learning from, and measuring on, folders of labelled photographs; `portraits` says the layout."""
