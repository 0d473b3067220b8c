"""Contents of memories, in files of their own where Yosys would need too much memory for them.

Verilog that stands alone sets a memory row by row. Of each row Yosys 0.70 keeps a statement and a
cell, 7 KB in all, until it has read the whole design: half a million of them, 32 columns of 16,384
rows, take 3.8 GB, and WebAssembly has 4. A memory that a file fills is one cell.
"""

import re
from pathlib import Path

MOST_ROWS = 1 << 18
"""Of a design that Yosys reads as it stands, in at most 1.9 GB. The LUTs of designs whose contents
are in files may differ by a percent, as Yosys orders cells by how it came upon them."""

_INITIAL = re.compile(r"^  initial begin\n((?:    .*\[\d+\] = \d+'[hd][0-9a-f]+;\n)+)  end$",
                      re.MULTILINE)
_ROW = re.compile(r"^    (.*)\[(\d+)\] = \d+'([hd])([0-9a-f]+);$", re.MULTILINE)


def write(text: str, top: str, folder: Path, most_rows: int = MOST_ROWS) -> str:
    """Write Verilog as ``top.v``, and, with more rows, as ``map.v`` and files with contents.

    Parameters
    ----------
    text : str
        Verilog, as `verilog.component_text` writes it; memories that are filled in any other way
        stay as they are.
    top : str
    folder : Path
        Where Yosys is going to run.
    most_rows : int
        Of all memories, for which ``top.v`` is read.

    Returns
    -------
    str
        Name of the file that Yosys is to read.
    """
    (folder / f"{top}.v").write_text(text, encoding="utf-8")
    if len(_ROW.findall(text)) <= most_rows:
        return f"{top}.v"
    count = 0

    def moved(found: re.Match[str]) -> str:
        nonlocal count
        rows = _ROW.findall(found[1])
        name = rows[0][0]
        if [row[:2] for row in rows] != [(name, str(index)) for index in range(len(rows))]:
            return found[0]
        file = folder / f"map_{count}.hex"
        file.write_text("".join(f"{digits if base == 'h' else format(int(digits), 'x')}\n"
                                for _, _, base, digits in rows), encoding="ascii")
        count += 1
        return f'  initial $readmemh("{file.name}", {name});'

    (folder / "map.v").write_text(_INITIAL.sub(moved, text), encoding="utf-8")
    return "map.v"
