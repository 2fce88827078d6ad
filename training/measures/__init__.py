"""How good the networks are and how fast, on what they were not trained on."""
