"""Synthesis: what a circuit costs and how fast it is, by Yosys and nextpnr.

Needs the extra ``synth``; importing this package does not.
"""

from .area import Area
from .devices import DEVICES, Device, find_device
from .mapping import Mapped, map_verilog

__all__ = ["DEVICES", "Area", "Device", "Mapped", "find_device", "map_verilog"]
