"""Write clocks of iCE40's block RAMs that are only read, which Yosys ties to 0.

nextpnr 0.11 takes such a clock for a net like any other and promotes the constant to a global
buffer; its routers then often go round in circles, without end. The clock of the read port serves
as well: nothing is written, as both enables of the port are 0 then.
"""

from typing import Any


def connect(module: dict[str, Any]) -> int:
    """Connect write clocks that are constant to the read clocks, and return how many.

    Parameters
    ----------
    module : dict
        Module of a Yosys netlist, mapped for iCE40; it is changed.
    """
    found = [cell["connections"] for cell in module["cells"].values()
             if cell["type"].startswith("SB_RAM40_4K")
             and cell["connections"]["WCLK"] == cell["connections"]["WCLKE"] == ["0"]]
    for pins in found:
        pins["WCLK"], pins["WE"] = pins["RCLK"], ["0"]
    return len(found)
