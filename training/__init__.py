"""Everything that makes weights; the package `faceedit` never imports it.

Read in this order: `task.py` (what a task gives), `loop/loop.py` (what is done with it),
`data/shards.py`, then one task in `tasks/`.
"""

import time

#: Seconds on the monotonic clock when this process first touched the package. `--max_minutes`
#: counts from here, so that importing torch and loading data are inside the budget.
STARTED = time.monotonic()
