"""Runs inside the model server's worker: finishes what `reload_weights` of vLLM 0.32 leaves undone.

On CPU a layer computes with a copy of its weights that was packed when they were loaded. A reload
packs anew where it finds weights in the checkpoint. An output layer that is tied to the embeddings
has none there, so it would go on with the former version's: new embeddings, new layers, old head, a
model that nobody has evaluated. Imports nothing, for another process loads it.
"""

from typing import Any


class SwapWorker:
    """Mixed into vLLM's worker by `--worker-extension-cls`."""

    model_runner: Any

    def pack_tied_weights(self) -> int:
        """Packs anew what a tied output layer computes with.

        Returns:
            How many layers that were; 0 on a GPU, where nothing is packed.
        """
        count = 0
        for layer in self.model_runner.get_model().modules():
            # Embeddings and output layer; each may be what the other is tied to.
            if hasattr(layer, "cpu_linear") and hasattr(layer, "org_vocab_size"):
                layer.quant_method.process_weights_after_loading(layer)
                count += 1
        return count
