"""Messages about what others wrote, who may want them to be something else than a line of text."""

LONGEST = 500


def one_line(message: object) -> str:
    """Text of a message on one line, as a terminal can show it, cut if it is too long.

    An error without a message gives its type; what can't be printed is written as Python does,
    ``\\x1b`` for instance.
    """
    words = (str(message) or type(message).__name__).split()
    return _cut("".join(character if character.isprintable() else repr(character)[1:-1]
                        for character in _cut(" ".join(words))))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST // 2]} … {text[-LONGEST // 4:]}"
