"""Messages are one line, as a terminal can show it."""

from sc_neurocore.messages import LONGEST, one_line


def test_what_cannot_be_shown_is_written_as_python_does():
    assert one_line("a\n  b\x1b[2J \u202e é …") == r"a b\x1b[2J \u202e é …"


def test_errors_without_a_message_give_their_type():
    assert one_line(MemoryError()) == "MemoryError"
    assert one_line(ValueError("bad")) == "bad"


def test_long_messages_are_cut_in_the_middle():
    text = one_line("begin" + "\0" * 10_000_000 + "end")
    assert LONGEST / 2 < len(text) <= LONGEST
    assert text.startswith("begin")
    assert text.endswith("end")
