"""Proofs of the gateware: `python -m formal`; docs/verification.md says what is proved, and how."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / folder) for folder in ("sim", "hdl", "benchmarks")]
