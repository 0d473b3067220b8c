"""The comparison itself: it passes on what is equal, and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.cosim.compare import Comparison, compare
from sc_neurocore.cosim.observation import Observation, StageRecord, fields
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

SPEC = AcceleratorSpec((2, 3), 2, 2)


@pytest.fixture(scope="module")
def network():
    random = np.random.default_rng(0)
    layers = [IntegerLayer(random.integers(-8, 8, shape), random.integers(-3, 3, shape[0]),
                           np.full(shape[0], 5), np.full(shape[0], 2)) for shape in ((3, 5), (3,
                           3))]
    return IntegerNetwork(tuple(layers), timesteps=4)


@pytest.fixture(scope="module")
def traced(network):
    return golden.trace(network, np.random.default_rng(1).integers(0, 256, (2, 5)), SPEC)


def stage(values, lanes, cycles, membranes=None):
    """What a monitor would have recorded of a golden trace."""
    batch, timesteps, n = values.shape
    groups = -(-n // lanes)

    def grouped(array):
        padded = np.zeros((batch, timesteps, groups * lanes), array.dtype)
        padded[..., :n] = array
        return padded.reshape(-1, lanes)

    _, timestep, group = (a.ravel() for a in np.indices((batch, timesteps, groups)))
    return StageRecord(cycles.ravel(), timestep, group, grouped(values),
                       None if membranes is None else grouped(membranes))


@pytest.fixture
def observation(network, traced):
    trace, cycles = traced.trace, traced.trace.cycles
    n = traced.counts.size
    neuron = np.arange(n) % 3
    results = np.stack([neuron, traced.counts.ravel(), traced.currents.ravel(),
                        np.repeat(traced.predicted, 3), neuron == 2])
    return Observation(
        "", cycles.loads.ravel(), stage(trace.input_spikes, 2, cycles.encoder),
        [stage(trace.spikes[i], SPEC.lanes[i], cycles.layers[i], trace.membranes[i])
         for i in range(2)], cycles.results.ravel(), results)


def judge(network, traced, observation, with_cycles=True):
    return compare(network, SPEC, traced, observation, name="test", with_cycles=with_cycles)


def test_equal_passes_and_counts_every_value(network, traced, observation):
    comparison = judge(network, traced, observation)
    assert comparison.passed
    assert comparison.compared["spike"] == 2 * 4 * (5 + 3 + 3)
    assert comparison.compared["membrane"] == 2 * 4 * (3 + 3)
    assert comparison.compared["cycle"] == 2 * (3 + 4 * (3 + 2 + 1) + 3)
    assert comparison.compared["current"] == 6
    assert comparison.compared["predicted"] == 2


def test_a_wrong_membrane_is_named(network, traced, observation):
    layer = observation.layers[0]
    membranes = layer.membranes.copy()
    membranes[9, 0] += 1      # image 1, timestep 0, fold 1, lane 0: neuron 2
    wrong = replace(observation, layers=[replace(layer, membranes=membranes),
                                         observation.layers[1]])
    comparison = judge(network, traced, wrong)
    assert not comparison.passed
    want = traced.trace.membranes[0][1, 0, 2]
    assert str(comparison.mismatches[0]) == (
        f"layer 0, image 1, timestep 0, neuron 2, cycle {layer.cycles[9]}: "
        f"membrane {want + 1}, golden model says {want}")


def test_a_wrong_spike_cycle_count_current_or_class_fails(network, traced, observation):
    spikes = observation.encoder.spikes.copy()
    spikes[3, 1] ^= True
    late = observation.layers[1].cycles.copy()
    late[-1] += 1
    cases = [("spike", replace(observation, encoder=replace(observation.encoder, spikes=spikes))),
             ("cycle", replace(observation, layers=[
                 observation.layers[0], replace(observation.layers[1], cycles=late)])),
             ("cycle", replace(observation, loads=observation.loads + 1)),
             ("cycle", replace(observation, result_cycles=observation.result_cycles + 1))]
    for row, quantity in enumerate(["neuron", "count", "current", "predicted", "last"]):
        results = observation.results.copy()
        results[row, 2] ^= 1
        cases.append((quantity, replace(observation, results=results)))
    for quantity, wrong in cases:
        assert judge(network, traced, wrong).mismatched == {quantity: (
            len(wrong.loads) if wrong.loads[0] else
            6 if (wrong.result_cycles != observation.result_cycles).any() else 1)}, quantity


def test_cycles_do_not_matter_when_streams_were_stalled(network, traced, observation):
    wrong = replace(observation, result_cycles=observation.result_cycles + 7)
    assert judge(network, traced, wrong, with_cycles=False).passed
    assert not judge(network, traced, wrong, with_cycles=True).passed


def test_a_missing_commit_and_a_broken_run_fail(network, traced, observation):
    layer = observation.layers[1]
    short = replace(layer, **{name: getattr(layer, name)[:-1] for name in vars(layer)})
    comparison = judge(network, traced,
                       replace(observation, layers=[observation.layers[0], short]))
    assert str(comparison.mismatches[0]) == "layer 1: commits 7, golden model says 8"
    comparison = judge(network, traced, replace(observation, fault="not done after 9 cycles"))
    assert not comparison.passed
    assert "not done after 9 cycles" in str(comparison.mismatches[0])


def test_a_golden_trace_without_cycles_is_refused(network, traced, observation):
    without = golden.trace(network, np.random.default_rng(1).integers(0, 256, (2, 5)))
    with pytest.raises(ValueError, match=r"^The golden trace must have cycles: call golden\.trace "
                                         r"with a spec$"):
        judge(network, without, observation)


def test_comparing_nothing_is_a_failure():
    assert not Comparison("nothing").passed


def test_observations_survive_the_file(tmp_path, network, traced, observation):
    observation.save(tmp_path / "observation.npz")
    assert judge(network, traced, Observation.load(tmp_path / "observation.npz")).passed


def test_fields_unpack_twos_complement_from_the_lowest_bits():
    assert fields([0b101_011], 3, 2).tolist() == [[3, 5]]
    assert fields([0b101_011, 0b111_100], 3, 2, signed=True).tolist() == [[3, -3], [-4, -1]]
    assert fields([1 << 70 | 5], 3, 1).tolist() == [[5]]
    assert fields([], 3, 2).shape == (0, 2)
