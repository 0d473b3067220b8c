"""The golden model's results for whole data sets, as fast as the machine can make them.

`run` gives the same integers as `sc_neurocore.golden.run` and shares no code with it. Images are
worked through in chunks, so memory does not grow with their number. There are two engines: one
that does work for spikes alone, compiled by numba, and matrix products, in numpy or on a torch
device. Either is exact; `engine_report` says which of them a network gets, and why.
"""

from .early_exit import EarlyExit, run_early_exit
from .running import EngineReport, accuracy, engine_report, run

__all__ = ["EarlyExit", "EngineReport", "accuracy", "engine_report", "run", "run_early_exit"]
