"""Train the network of the reference design and write hdl/reference.safetensors."""

from dataclasses import replace
from pathlib import Path

from sc_neurocore import simulator
from sc_neurocore.conversion import convert
from sc_neurocore.conversion.training import train_mlp
from sc_neurocore.datasets import digits
from sc_neurocore.quantization import quantize
from sc_neurocore.storage import save_network

if __name__ == "__main__":
    data = digits()
    model = train_mlp(data.train_images, data.train_labels, hidden=(16,))
    snn = replace(convert(model, data.train_images, T=8), initial_membrane_fraction=0.5)
    network = quantize(snn, weight_width=4)
    save_network(network, Path(__file__).with_name("reference.safetensors"))
    result = simulator.run(network, network.intensities(data.test_images))
    correct = (result.predicted == data.test_labels).mean()
    print(f"{100 * correct:.1f} % of {len(data.test_labels)} test images")
