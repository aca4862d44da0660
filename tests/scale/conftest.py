"""Tests of large jobs need Ray Data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
