from sc_neurocore.gateware.frame_buffer import FrameBuffer


def test_what_is_kept_comes_out(simulate):
    simulate(FrameBuffer(64), "bench_frame_buffer", depth=64)
