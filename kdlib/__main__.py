"""`python -m kdlib`."""

import sys

from kdlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
