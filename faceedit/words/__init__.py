"""Words: a sentence as CLIP reads it, the wishes in it, and what is known of what they name."""
