"""`python -m seehear` is the command line."""

from seehear.cli import main

if __name__ == "__main__":
    main()
