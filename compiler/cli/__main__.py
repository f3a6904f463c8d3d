"""`python -m dlcc.compiler.cli`: the same as `dlcc`."""

import sys

from dlcc.compiler.cli.main import main

sys.exit(main())
