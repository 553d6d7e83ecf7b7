"""`python -m kdlib`."""

import sys

from kdlib.cache import keep_private
from kdlib.cli.main import main

if __name__ == "__main__":
    keep_private()
    sys.exit(main())
