"""Layouts for goals: they reach them, fit, and what cannot be is said with what can."""

from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.planning import PlanError, assess, plan
from sc_neurocore.planning.choices import useful_lanes
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import find_device
from sc_neurocore.synthesis.devices import Device, Resources


def network(*shape: int, weight_width: int = 4, timesteps: int = 4, **options) -> IntegerNetwork:
    random = np.random.default_rng(0)
    half = 2 ** (weight_width - 1)
    return IntegerNetwork(tuple(
        IntegerLayer(random.integers(-half, half, (outputs, inputs)), np.zeros(outputs, int),
                     np.full(outputs, 2 * half), np.zeros(outputs, int), weight_width)
        for inputs, outputs in pairwise(shape)), timesteps, **options)


def test_lanes_of_which_none_is_idle_for_nothing():
    assert useful_lanes(10) == [1, 2, 3, 4, 5, 10]
    assert useful_lanes(1) == [1]


@pytest.mark.parametrize("options", [
    {}, {"encoder": "low_discrepancy"}, {"encoder": "direct"}, {"encoder": "events"},
    {"schedule": "layer_by_layer"}])
def test_a_goal_is_reached_by_less_than_the_fastest_takes(options):
    small = network(40, 24, 10, **options)
    fastest = plan(small, "ecp5-25k")
    relaxed = plan(small, "ecp5-25k", latency_us=5 * fastest.latency_us)
    assert fastest.latency_us < relaxed.latency_us <= 5 * fastest.latency_us
    assert relaxed.area.lut_equivalents < fastest.area.lut_equivalents
    assert plan(small, "ecp5-25k", images_per_s=fastest.images_per_s / 4).images_per_s >= (
        fastest.images_per_s / 4)


def test_cycles_are_those_of_the_golden_model():
    small = network(40, 24, 10)
    images = np.random.default_rng(1).integers(0, 256, (3, 40))
    made = plan(small, "ecp5-25k", latency_us=8, inputs=images)
    assert made.origin == "3 images"
    alone = [golden.trace(small, image, made.spec).trace.cycles.latency[0] for image in images]
    assert made.pace.latency_cyc == max(alone) <= 800
    done = golden.trace(small, images, made.spec).trace.cycles.results[:, -1]
    assert made.pace.interval_cyc == np.diff(done).mean()


def test_stages_are_balanced_without_a_goal():
    made = plan(network(200, 64, 10), "ecp5-25k", activity=0.2)
    assert made.spec.lanes[0] == 64
    assert made.folds == (1, made.folds[1])
    assert made.spec.ports[0] == 2      # nothing else makes it faster
    # The output layer has less to do, and time for it.
    assert made.spec.lanes[1] * made.spec.ports[1] < 20


def test_the_device_limits_the_plan():
    wide = network(64, 256, 10)
    small, large = plan(wide, "ice40-up5k"), plan(wide, "ecp5-85k")
    has = find_device("ice40-up5k").resources
    assert small.area.lut_equivalents <= 0.85 * has.luts
    assert small.area.block_rams <= has.block_rams
    assert small.spec.lanes[0] < large.spec.lanes[0]
    assert small.pace.interval_cyc > large.pace.interval_cyc


def test_two_rows_a_cycle_where_one_is_too_slow():
    wide = network(300, 32, 10)
    images = np.random.default_rng(1).integers(0, 256, (2, 300))
    fastest = plan(wide, "ecp5-25k", inputs=images)
    assert fastest.spec.ports[0] == 2
    relaxed = plan(wide, "ecp5-25k", latency_us=2 * fastest.latency_us, inputs=images)
    assert relaxed.spec.ports == (1, 1)
    alone = [golden.trace(wide, image, fastest.spec).trace.cycles.latency[0] for image in images]
    assert fastest.pace.latency_cyc == max(alone)


def test_what_does_not_fit_block_ram_is_loaded_into_spram():
    large = network(300, 60, 10, weight_width=8)    # 146 Kbit of weights, and 120 of block RAM
    with pytest.raises(PlanError, match="load the parameters, which puts weights into SPRAM"):
        plan(large, "ice40-up5k")
    made = plan(large, "ice40-up5k", loaded=True)
    assert made.spec.memories[0] == "spram"
    assert 1 <= made.area.spram <= 4
    assert made.as_dict()["loaded"]
    made.spec.check(large)
    with pytest.raises(PlanError, match="takes at least"):
        plan(large, "ice40-hx8k", loaded=True)      # which has none


def test_rows_with_parity_are_not_made_of_logic():
    small = network(20, 16, 10)
    assert "logic" in plan(small, "ecp5-25k").spec.memories
    made = plan(small, "ecp5-25k", parity=True)
    assert made.spec.parity
    assert made.as_dict()["parity"]
    assert set(made.spec.memories) == {"block"}
    assert "weights in     block, block, with parity\n" in str(made)


def test_the_result_says_what_it_is():
    made = plan(network(40, 24, 10), "ecp5-25k", latency_us=20, clock_hz=50e6)
    document = made.as_dict()
    assert document["lanes"] == list(made.spec.lanes)
    assert document["latency_us"] == made.pace.latency_cyc / 50 <= 20
    for part in ("LUTs", "of 24288", "at 50 MHz", "15% of inputs and neurons spiking"):
        assert part in str(made)


def test_a_given_layout_is_assessed():
    small = network(40, 24, 10)
    spec = AcceleratorSpec.for_network(small, 8)
    assert assess(small, spec, "ecp5-25k").spec is spec
    made = plan(small, "ecp5-25k")
    assert assess(small, made.spec, "ecp5-25k").as_dict() == made.as_dict()


def test_what_is_too_large_says_what_is_not():
    with pytest.raises(PlanError, match=(
            r"784-256-10 takes at least \d+ block RAMs, \d+ of them for weights of 8 bits, and "
            r"ecp5-25k has 56: use 4-bit weights \(\d+ block RAMs\), or use ecp5-45k")):
        plan(network(784, 256, 10, weight_width=8), "ecp5-25k")


@pytest.mark.parametrize(("has", "options", "message"), [
    (Resources(200, 9999, 99), {}, r"300-20 takes at least \d+ LUTs, and 85% of the 200 of small "
     r"may be used: use ecp5-25k$"),
    (Resources(9999, 200, 99), {}, r"300-20 takes at least \d+ flip-flops, and 85% of the 200 of "
     r"small may be used: use ecp5-25k$"),
    # fewer bits would not do
    (Resources(2000, 9999, 1), {"weight_width": 3}, r"300-20 takes at least \d+ block RAMs, \d+ of "
     r"them for weights of 3 bits, and small has 1: use ecp5-25k$")])
def test_what_there_is_too_little_of_is_named(has, options, message):
    small = Device("small", "ecp5", "a small one", (), has)
    with pytest.raises(PlanError, match=message):
        plan(network(300, 20, **options), small, clock_hz=1e8)


def test_what_can_not_be_loaded_is_not_told_to_be():
    large = network(300, 60, 10, weight_width=8, encoder="direct")
    with pytest.raises(PlanError, match=r"300-60-10 takes at least .* block RAMs") as caught:
        plan(large, "ice40-up5k")
    assert "--loaded" not in str(caught.value)


def test_goals_that_exclude_each_other_are_told():
    both = network(100, 16, 40, timesteps=1, encoder="events")
    small = Device("small", "ecp5", "a small one", (), Resources(3000, 9999, 40))
    alone = [plan(both, small, clock_hz=1e8, **goal)
             for goal in ({"latency_us": 0.71}, {"images_per_s": 2.32e6})]
    assert [made.pace.latency_cyc <= 71 for made in alone] == [True, False]
    assert [made.pace.interval_cyc <= 43 for made in alone] == [False, True]
    with pytest.raises(PlanError, match=(
            r"images per second are one every 43 cycles at 100 MHz, and the fastest layout of "
            r"100-16-40 that fits small takes 43 cycles an image, with nothing left for the "
            r"other goal \(.*\): ask for a latency of [\d.]+ us beside it, or use fewer neurons$")
            ) as caught:
        plan(both, small, clock_hz=1e8, latency_us=0.71, images_per_s=2.32e6)
    offered = float(str(caught.value).split("a latency of ")[1].split()[0])
    made = plan(both, small, clock_hz=1e8, latency_us=offered, images_per_s=2.32e6)
    assert made.pace.interval_cyc <= 43


def test_a_goal_out_of_reach_says_which_is_not():
    small = network(40, 24, 10)
    with pytest.raises(PlanError, match=(
            r"A latency of 0.5 us is 50 cycles at 100 MHz, and the fastest layout of 40-24-10 that "
            r"fits ecp5-25k takes \d+ cycles .*: ask for [\d.]+ us, or use a clock of \d+ MHz")
            ) as caught:
        plan(small, "ecp5-25k", latency_us=0.5)
    offered = float(str(caught.value).split("ask for ")[1].split()[0])
    assert plan(small, "ecp5-25k", latency_us=offered).latency_us <= offered
    with pytest.raises(PlanError, match="images per second are one every 10 cycles"):
        plan(small, "ecp5-25k", images_per_s=1e7)


@pytest.mark.parametrize(("options", "message"), [
    ({"latency_us": 0}, "Latency must be a positive number, not 0"),
    ({"clock_hz": float("nan")}, "Clock must be a positive number, not nan"),
    ({"activity": 2}, r"Activity must be in \[0, 1\], not 2"),
    ({"device": "xc7"}, "Device xc7 must be one whose resources are known"),
    ({"device": "ecp6"}, "Device must be one of")])
def test_bad_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(network(8, 4), **{"device": "ecp5-25k", **options})
