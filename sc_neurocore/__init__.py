"""From a trained PyTorch network to a verified spiking network on an FPGA.

The stages, each one module, one verb and one type in and out::

    conversion.convert   torch.nn.Module  -> ConvertedSNN     (floats)
    quantization.quantize  ConvertedSNN   -> IntegerNetwork   (integers)
    golden.run             IntegerNetwork + intensities -> spikes, membranes, counts, cycles
    simulator.run          the same integers for whole data sets
    verilog.generate       IntegerNetwork -> Verilog text
    cosim.verify           Verilog == golden model, under Verilator

Importing this package loads none of torch, amaranth and cocotb.
"""

__version__ = "0.1.0"
