"""Which module is meant by what was given, and whether it can be differentiated as it is."""

import copy

import torch

_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
_HALF = (torch.float16, torch.bfloat16)
_DROPOUT = torch.nn.modules.dropout._DropoutNd
_BATCH_NORMALISATION = torch.nn.modules.batchnorm._BatchNorm
_WITH_STATISTICS = torch.nn.modules.batchnorm._NormBase


def plain_module(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module whose layers are run one by one.

    Raises
    ------
    TypeError
        If that module is not to be had, as of a scripted or traced one.
    """
    while True:
        if "_orig_mod" in module._modules:  # of torch.compile
            module = module.get_submodule("_orig_mod")
        elif isinstance(module, _PARALLEL):
            module = module.get_submodule("module")
        else:
            break
    for name, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            part = f"Its part {name!r}" if name else "It"
            raise TypeError(
                f"No gradients are known for {type(module).__name__}. {part} was made by "
                "torch.jit, which does not let in hooks or other parameters. Give the "
                "torch.nn.Module that it was made from, with load_state_dict if need be."
            )
    return module


def in_single(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy in float32 of a module in half precision; any other one as it is.

    The numbers of half precision are numbers of float32 too, but gradients would underflow in it.

    Raises
    ------
    TypeError
        If it cannot be copied.
    """
    half = next((name for name, value in _state(module) if value.dtype in _HALF), None)
    if half is None:
        return module
    try:
        return copy.deepcopy(module).float()
    except Exception as error:  # whatever the parts of others raise that cannot be copied
        raise TypeError(
            f"{half} is in half precision, in which gradients underflow, and "
            f"{type(module).__name__} cannot be copied to float32: {error}. Use model.float()."
        ) from error


def _state(module):
    return [*module.named_parameters(), *module.named_buffers()]


def check_mode(module: torch.nn.Module) -> None:
    """Raise if a module is not in evaluation mode where that matters, or in half precision."""
    for name, layer in module.named_modules():
        # Recurrent layers and attention have a rate of their own.
        rate = getattr(layer, "dropout", 0.0)
        random = isinstance(layer, _DROPOUT) or (isinstance(rate, float) and rate > 0.0)
        counts = isinstance(layer, _WITH_STATISTICS) and layer.track_running_stats
        if layer.training and (random or counts or isinstance(layer, _BATCH_NORMALISATION)):
            raise ValueError(
                f"Layer {name!r} ({type(layer).__name__}) is in training mode, where the "
                "output of a sample depends on others or on chance. Call model.eval() first."
            )
        if isinstance(layer, _BATCH_NORMALISATION) and layer.running_mean is None:
            raise ValueError(
                f"Layer {name!r} ({type(layer).__name__}) has no running statistics, so the "
                "output of a sample depends on others. Use track_running_stats=True."
            )
    for name, parameter in module.named_parameters():
        if parameter.dtype in _HALF:  # since the network was made
            raise TypeError(
                f"{name} is in half precision, in which gradients underflow. Use model.float()."
            )
