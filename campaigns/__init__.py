"""Attacks on the gateware and on what reads other people's files; each is a command."""
