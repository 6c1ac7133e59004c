"""What vLLM's workers are asked for, in their processes: imports nothing, since each of them imports it."""


class Asked:
    """Added to vLLM's worker class, by its option `worker_extension_cls`."""

    def attention_backends(self) -> list[str]:
        """By what the layers attend, by vLLM's names."""
        return sorted({group.backend.get_name() for groups in self.model_runner.attn_groups for group in groups})
