from dataclasses import asdict

import pytest

from sc_neurocore.gateware.answers import Answers
from sc_neurocore.protocol import LinkFormat


@pytest.mark.parametrize(("n_output", "current_width", "images"),
                         [(3, 11, 300), (1, 3, 300), (40, 30, 60)])
def test_everything_is_said(simulate, n_output, current_width, images):
    format = LinkFormat(8, 2, 3, n_output, 4, current_width)
    simulate(Answers(format, bytes(range(9))), "bench_answers", format=asdict(format),
             constants=list(range(9)), images=images)
