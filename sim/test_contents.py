import pytest
from amaranth.lib import data

from sc_neurocore.gateware.contents import ImageReader, LoadReader
from sc_neurocore.protocol import LinkFormat


@pytest.mark.parametrize(("beat_width", "beats", "transfers"), [(8, 8, 3), (8, 1, 4), (5, 2, 1),
                                                               (1, 4, 6), (16, 2, 2)])
def test_images_are_put_together(simulate, beat_width, beats, transfers):
    format = LinkFormat(beat_width, beats, transfers, 10, 4, 12)
    simulate(ImageReader(format), "bench_contents", part="images", width=beat_width * beats,
             transfers=transfers)


@pytest.mark.parametrize("width", [3, 14, 20])
def test_words_are_put_together(simulate, width):
    simulate(LoadReader(data.StructLayout({"address": width, "data": 16})), "bench_contents",
             part="words", width=width)
