"""Co-simulation: generated Verilog under Verilator and cocotb, compared with the golden model.

Needs the extra ``cosim``; importing this package does not.
"""

from .compare import Comparison, Mismatch
from .simulation import SimulationError
from .tools import ToolError
from .verification import Report, VerifyReport, verify

__all__ = ["Comparison", "Mismatch", "Report", "SimulationError", "ToolError", "VerifyReport",
           "verify"]
