"""The training loop: steps, schedules, checkpoints and the log. It knows no formula."""
