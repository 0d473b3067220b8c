"""Synthesis: what a circuit costs and how fast it is, by Yosys and nextpnr.

Needs the extra ``synth``; importing this package does not.
"""

from .activity import Activity
from .area import Area
from .devices import DEVICES, Device, find_device
from .mapping import Mapped, map_verilog
from .placement import CriticalPath, Placement, place
from .report import SynthesisReport, synthesize

__all__ = ["DEVICES", "Activity", "Area", "CriticalPath", "Device", "Mapped", "Placement",
           "SynthesisReport", "find_device", "map_verilog", "place", "synthesize"]
