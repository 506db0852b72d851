"""`python -m voyager` is `vgr`, for torchrun and others that start modules."""

import sys

from voyager.cli import main

sys.exit(main())
