"""Follow a recipe: `python -m training`."""

import sys

from training.run import main

if __name__ == "__main__":
    sys.exit(main())
