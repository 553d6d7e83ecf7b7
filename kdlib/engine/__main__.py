"""`python -m kdlib.engine`: the local engine, in the foreground."""

import sys

from kdlib.engine.process import main

if __name__ == "__main__":  # its workers import this module too
    sys.exit(main())
