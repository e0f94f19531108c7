"""``python -m sklearn_sparse_eig`` is the command ``sparse-eig``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
