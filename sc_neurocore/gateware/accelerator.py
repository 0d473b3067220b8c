"""The accelerator: images in, results out."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..parameters import load_format
from ..rounds import encoder_rounds
from ..spec import AcceleratorSpec
from .encoder import SpikeEncoder
from .layer import Layer
from .layouts import encoder_trace, index_shape, layer_trace, load_word, result
from .readout import Readout
from .replay import Replay
from .serializer import Serializer
from .spike_input import SpikeInput


class Accelerator(wiring.Component):
    """A spiking network: encoder, layers and readout, a pipeline over timesteps.

    Every stage works on a timestep of its own, and the next image is loaded meanwhile. The clock
    cycle of each commit is what `timing.predict` says as long as neither stream waits for the
    outside; when they do, results stay the same.

    Parameters
    ----------
    network : IntegerNetwork
        What it computes.
    spec : AcceleratorSpec
        How it is laid out.
    trace : bool
        Whether it has the trace ports.

    Members
    -------
    intensities : In, stream
        An image is ceil(n_input / beats) transfers of ``beats`` intensities, the first in the
        lowest bits; what the last transfer has beyond ``n_input`` is ignored.
    spikes : In, stream
        Instead of ``intensities`` where the encoder is ``events``, see `SpikeInput`.
    results : Out, stream of `layouts.result`
        One transfer an output neuron.
    load : In, stream of `layouts.load_word`
        Parameters, where they are loaded (`parameters.load_words`), while no image is being worked
        on; a word takes effect two cycles later.
    corrupted_layer, corrupted_row : Out
        With parity: where a corrupted row of weights was read first. The layer's number is one
        more than its index, and 0 if there was none. A reset leaves both, as it leaves what is in
        the memories; a word that is loaded clears them.
    trace_encoder : Out, `layouts.encoder_trace`
    trace_layer_0, … : Out, `layouts.layer_trace`

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, *, trace: bool = False):
        spec.check(network)
        self._network, self._spec, self._trace = network, spec, trace
        events = network.encoder == "events"
        self._input = "spikes" if events else "intensities"
        members = {
            self._input: In(stream.Signature(
                data.ArrayLayout(1 if events else network.intensity_width, spec.beats))),
            "results": Out(stream.Signature(result(network.n_output, network.count_width,
                                                   spec.current_width(network))))}
        if spec.loaded:
            members["load"] = In(stream.Signature(load_word(load_format(network, spec))))
        if spec.parity:
            indexes = range(len(network.layers))
            members["corrupted_layer"] = Out(index_shape(len(network.layers) + 1))
            members["corrupted_row"] = Out(index_shape(max(
                spec.folds(network, index) * spec.fold_rows(network, index) for index in indexes)))
        if trace:
            members["trace_encoder"] = Out(encoder_trace(
                spec.word_lanes(network), encoder_rounds(network), spec.encoder_words(network)))
            for index in range(len(network.layers)):
                members[f"trace_layer_{index}"] = Out(layer_trace(
                    spec.lanes[index], network.timesteps, spec.folds(network, index),
                    spec.membrane_width(network, index)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        network, spec = self._network, self._spec
        encodes = SpikeInput if network.encoder == "events" else SpikeEncoder
        m.submodules.encoder = encoder = encodes(network, spec)
        wiring.connect(m, wiring.flipped(getattr(self, self._input)),
                       getattr(encoder, self._input))
        if self._trace:
            wiring.connect(m, encoder.trace, wiring.flipped(self.trace_encoder))

        words, stages = encoder.words, []
        for index, layer in enumerate(network.layers):
            serializer = Serializer(layer.n_input, spec.source_lanes(network, index),
                                    spec.ports[index])
            stage = Layer(network, spec, index, trace=self._trace)
            m.submodules[f"serializer_{index}"] = serializer
            m.submodules[f"layer_{index}"] = stage
            if spec.replays(network, index) == "words":
                words = self._replayed(m, index, words, spec.source_words(network, index))
            wiring.connect(m, words, serializer.words)
            events = serializer.events
            if spec.replays(network, index) == "events":
                events = self._replayed(m, index, events, layer.n_input)
            wiring.connect(m, events, stage.events)
            if self._trace:
                trace = getattr(self, f"trace_layer_{index}")
                wiring.connect(m, stage.trace, wiring.flipped(trace))
            words = stage.words
            stages.append(stage)

        m.submodules.readout = readout = Readout(network, spec)
        wiring.connect(m, words, readout.words)
        wiring.connect(m, readout.results, wiring.flipped(self.results))
        if spec.loaded:
            ports = [getattr(stage, name) for stage in stages
                     for name in ("load_weights", "load_thresholds")]
            self._distribute(m, [*ports, readout.load])
        if spec.parity:
            self._report(m, stages)
        return m

    def _distribute(self, m: Module, ports: list):
        """Send each word that is loaded to its target."""
        form, word = load_format(self._network, self._spec), self.load.payload
        taken = Signal(word.shape(), name="loaded_word")
        valid = Signal(name="loaded_valid")
        m.d.comb += self.load.ready.eq(1)
        m.d.sync += [taken.eq(word), valid.eq(self.load.valid)]
        place, row, target = (
            taken.address[:form.word_bits], taken.address[form.word_bits:][:form.row_bits],
            taken.address[form.word_bits + form.row_bits:])
        for number, port in enumerate(ports):
            m.d.comb += [port.enable.eq(valid & (target == number)), port.row.eq(row),
                         port.word.eq(place), port.data.eq(taken.data)]

    def _report(self, m: Module, stages: list[Layer]):
        """Remember the first corrupted row; of several at a time, that of the first layer."""
        layer = Signal.like(self.corrupted_layer, name="first_layer", reset_less=True)
        row = Signal.like(self.corrupted_row, name="first_row", reset_less=True)
        m.d.comb += [self.corrupted_layer.eq(layer), self.corrupted_row.eq(row)]
        with m.If(layer == 0):
            for index, stage in reversed([*enumerate(stages)]):
                with m.If(stage.corrupted):
                    m.d.sync += [layer.eq(index + 1), row.eq(stage.corrupted_row)]
        if self._spec.loaded:
            with m.If(self.load.valid):
                m.d.sync += [layer.eq(0), row.eq(0)]

    def _replayed(self, m: Module, index: int, source, most: int):
        """A timestep's words or events, once for each fold of a layer."""
        replay = Replay(source.payload.shape(), most, self._spec.folds(self._network, index))
        m.submodules[f"replay_{index}"] = replay
        wiring.connect(m, source, replay.collected)
        return replay.replayed


class CountedAccelerator(Accelerator):
    """An accelerator that tells when its layers take events.

    Where a layer takes a timestep's events once for each fold, those of its first fold count.

    Members
    -------
    input_events : Out
        Spikes that the first layer takes in this cycle.
    hidden_events : Out
        Spikes that the other layers take.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        super().__init__(network, spec)
        self.input_events = Signal(range(spec.ports[0] + 1))
        self.hidden_events = Signal(range(sum(spec.ports[1:]) + 1))

    def elaborate(self, platform):
        m = super().elaborate(platform)
        taken = [self._taken(m, index) for index in range(len(self._network.layers))]
        m.d.comb += [self.input_events.eq(taken[0]), self.hidden_events.eq(sum(taken[1:]))]
        return m

    def _taken(self, m: Module, index: int) -> Value:
        """Spikes that a layer takes in this cycle."""
        events, folds = getattr(m.submodules, f"layer_{index}").events, self._spec.folds(
            self._network, index)
        fold = Signal(index_shape(folds), name=f"fold_{index}")
        transfer = events.valid & events.ready
        with m.If(transfer & events.payload.last):
            m.d.sync += fold.eq(Mux(fold == folds - 1, 0, fold + 1))
        spikes = events.payload.spike
        if self._spec.ports[index] == 2:
            spikes = spikes + events.payload.second_spike
        return Mux(transfer & (fold == 0), spikes, 0)
