import pytest

from sc_neurocore.gateware.event_buffer import EventBuffer


@pytest.mark.parametrize("n_input", [1, 8, 13])
def test_timesteps_can_be_read_until_released(simulate, n_input):
    simulate(EventBuffer(n_input), "bench_event_buffer", n_input=n_input)
