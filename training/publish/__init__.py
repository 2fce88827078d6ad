"""Cards, sheets and fingerprints of published folders, and sending them to the Hub."""
