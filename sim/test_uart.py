import pytest

from sc_neurocore.gateware.uart import UartReceiver, UartTransmitter, baud_divisor


@pytest.mark.parametrize("divisor", [4, 5, 12, 25])
def test_bytes_are_received(simulate, divisor):
    simulate(UartReceiver(divisor), "bench_uart", part="receiver", divisor=divisor)


@pytest.mark.parametrize("divisor", [4, 25])
def test_bytes_are_sent(simulate, divisor):
    simulate(UartTransmitter(divisor), "bench_uart", part="transmitter", divisor=divisor)


def test_a_baud_rate_is_a_whole_part_of_the_clock():
    assert baud_divisor(24e6, 1e6) == 24
    assert baud_divisor(27e6, 921600) == 29
    with pytest.raises(ValueError, match=r"Baud rate must be at most 3e\+06, 4 cycles"):
        baud_divisor(12e6, 4e6)
    with pytest.raises(ValueError, match=r"within 2% .* not 1\.133e\+06; 1\.09091e\+06 is the "):
        baud_divisor(12e6, 1.1e6 * 1.03)
