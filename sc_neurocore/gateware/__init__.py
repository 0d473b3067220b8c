"""Amaranth components of the accelerator, one a file.

They share parameters with the golden model (`sc_neurocore.network`), and no code. Each signal is
made in an assignment of its own: what Amaranth sees of the names in a tuple, and so the Verilog,
depends on the version of Python.
"""
