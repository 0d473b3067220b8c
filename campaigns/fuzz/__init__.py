"""Hostile input: what reads other people's files, or talks to a board, is given what breaks it.

    python -m campaigns.fuzz [--seconds N] [--seed N] [--target NAME]... [--input N]
                             [--output FOLDER] [--update]

Each target has valid inputs, and mutants of them are made and read in a process of its own, with
limits of time and memory. Only documented errors may come, each of one line that names the file;
nothing may be executed, opened or written beside what is read. Then commands are killed, and their
disk is filled. Writes ``fuzz.json`` and ``fuzz.md``, and each input of a finding.
"""
