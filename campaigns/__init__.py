"""Attacks on the gateware and on what reads other people's files; each is a command."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIM = ROOT / "sim"
CACHE = ROOT / "build" / "simulations"
"""Compiled simulations, kept from run to run."""

# The benches, and what they share; also for the processes that a campaign starts.
sys.path.insert(0, str(SIM))
