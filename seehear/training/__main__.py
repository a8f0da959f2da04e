"""`python -m seehear.training`: follow a recipe."""

import sys

from seehear.training.run import main

if __name__ == "__main__":
    sys.exit(main())
