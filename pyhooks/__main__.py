"""``python -m pyhooks``."""

import sys

from pyhooks.cli import main

sys.exit(main())
