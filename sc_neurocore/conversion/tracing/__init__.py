"""Reading a torch model: its forward pass, operation by operation, as exact linear maps."""
