"""`python -m training.publish`: see `training.publish.repos`."""

import sys

from training.publish.repos import main

if __name__ == "__main__":
    sys.exit(main())
