"""Write the reference design: `python hdl/generate.py`, or with --check compare it instead.

The network, 64-16-10 with 4-bit weights for scikit-learn's digits, is checked in beside it.
"""

import difflib
import sys
from pathlib import Path

from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network
from sc_neurocore.verilog import generate

HERE = Path(__file__).parent
NETWORK, VERILOG = HERE / "reference.safetensors", HERE / "reference.v"
SPEC = AcceleratorSpec(lanes=(4, 5), beats=4)


def main() -> None:
    """Write hdl/reference.v, or exit with a difference."""
    text = generate(load_network(NETWORK), SPEC, name="reference")
    if "--check" not in sys.argv[1:]:
        VERILOG.write_text(text)
    elif text != VERILOG.read_text():
        lines = difflib.unified_diff(VERILOG.read_text().splitlines(), text.splitlines(),
                                     "hdl/reference.v", "generated", lineterm="", n=1)
        sys.exit("\n".join([*list(lines)[:40], "hdl/reference.v is not what the gateware "
                            "generates; if the change is meant, run: make verilog"]))


if __name__ == "__main__":
    main()
