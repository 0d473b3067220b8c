"""Amaranth components of the accelerator, one a file.

They share parameters with the golden model (`sc_neurocore.network`), and no code.
"""
