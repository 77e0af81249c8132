"""``python -m wsfast``: the same as the ``wsfast`` command."""

import sys

from wsfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
