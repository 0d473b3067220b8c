from sc_neurocore.gateware.framing import FrameReceiver, FrameTransmitter


def test_frames_are_found(simulate):
    simulate(FrameReceiver(), "bench_framing", part="receiver")


def test_frames_are_sent(simulate):
    simulate(FrameTransmitter(), "bench_framing", part="transmitter")
