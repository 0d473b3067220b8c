"""What nextpnr and the packer of each family are given, and what they are called."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """From a netlist to a bitstream.

    Parameters
    ----------
    constraints : str
        Suffix of the file that says which pins are used.
    place : tuple of str
        Options of nextpnr that name this file, and the one that it writes; with ``{constraints}``
        and ``{routed}`` in their places.
    routers : tuple of str
        Of nextpnr; the next one is taken where one goes round in circles.
    bitstream : str
        Suffix of the bitstream.
    pack : tuple of str
        Packer and its arguments; with ``{routed}`` and ``{bitstream}`` in their places.
    """

    constraints: str
    place: tuple[str, ...]
    routers: tuple[str, ...]
    bitstream: str
    pack: tuple[str, ...]

    def files(self, top: str) -> dict[str, str]:
        """Names of the files, by what is in them."""
        return {"constraints": f"{top}.{self.constraints}", "routed": f"{top}.config",
                "bitstream": f"{top}.{self.bitstream}"}

    def place_arguments(self, top: str) -> list[str]:
        """Of nextpnr."""
        return [each.format(**self.files(top)) for each in self.place]

    def pack_command(self, top: str, options: tuple[str, ...]) -> tuple[str, list[str]]:
        """Packer and its arguments, a board's options among them."""
        program, *arguments = self.pack
        return program, [*options, *(each.format(**self.files(top)) for each in arguments)]


FLOWS = {
    "ecp5": Flow("lpf", ("--lpf", "{constraints}", "--textcfg", "{routed}"), ("router1",), "bit",
                 ("ecppack", "--input", "{routed}", "--bit", "{bitstream}")),
    "gowin": Flow("cst", ("--vopt", "cst={constraints}", "--write", "{routed}"), ("router1",),
                  "fs", ("gowin_pack", "-o", "{bitstream}", "{routed}")),
    # Both of its routers go round in circles on some netlists.
    "ice40": Flow("pcf", ("--pcf", "{constraints}", "--asc", "{routed}"), ("router2", "router1"),
                  "bin", ("icepack", "{routed}", "{bitstream}")),
}
"""By family."""
