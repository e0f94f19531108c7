"""What enters the head of a torch module, as the logits of another one."""

import torch


class Features(torch.nn.Module):
    """What enters the head of a module, as the logits of another; both have the same layers.

    Parameters
    ----------
    module : torch.nn.Module
    head : torch.nn.Linear
        A layer of it.
    """

    def __init__(self, module: torch.nn.Module, head: torch.nn.Linear) -> None:
        super().__init__()
        self.module = module
        # Stands in for the head as the last layer; its parameters, not even random, are never used.
        self.identity = torch.nn.utils.skip_init(
            torch.nn.Linear,
            head.in_features,
            head.in_features,
            bias=False,
            device=head.weight.device,
            dtype=head.weight.dtype,
        )
        self._head = [head]  # in a list, so as not to be registered twice

    # What a twin is made for: its hook is on the head of the twin.
    needs_twin = True

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        """Return what enters the head at its only use."""
        caught: list[torch.Tensor] = []
        hook = self._head[0].register_forward_pre_hook(
            lambda layer, inputs: caught.append(inputs[0])
        )
        try:
            self.module(*args, **kwargs)
        finally:
            hook.remove()
        return caught[0]
