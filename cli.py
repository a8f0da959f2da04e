"""Run the command line from a bare checkout: `python cli.py search "a dog on a beach"`."""

from seehear.cli import main

if __name__ == "__main__":
    main()
