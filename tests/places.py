"""Several GPUs on a CPU: tensors that say that they are on one, hold their numbers here, and refuse to meet across devices."""

import functools

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_TENSOR, _ATEN = torch.Tensor, torch.ops.aten
_COPIES = (_ATEN._to_copy.default, _ATEN.copy_.default, _ATEN.to.device, _ATEN.to.dtype_layout)
_INDEXING = (_TENSOR.__getitem__, _ATEN.index.Tensor)
_CPU = torch.device("cpu")


class Placed(torch.Tensor):
    """A tensor that says that it is on another device than it is."""

    @staticmethod
    def __new__(cls, inner, device):
        """Made around a tensor of the CPU."""
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=device, requires_grad=inner.requires_grad,
        )  # fmt: skip

    def __init__(self, inner, device):
        self.inner = inner

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        """What would set a GPU in C++ is done here."""
        if function in (_TENSOR.__setitem__, _TENSOR.__getitem__, _TENSOR.tolist):
            return _run(function, args, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        """Computed on the CPU."""
        return _run(function, args, kwargs or {})


class Places(TorchDispatchMode):
    """While it is on, tensors can be made on and sent to `cuda:0`, `cuda:1` and so on."""

    def __init__(self):
        super().__init__()
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE  # torch then starts no CUDA

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Of tensors of the CPU too: they may be sent elsewhere."""
        return _run(function, args, kwargs or {})


def _run(function, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    devices = {tensor.device for tensor in tensors if tensor.dim() or tensor.device != _CPU}
    if function in _INDEXING:
        devices -= {_CPU}  # indices of the CPU are taken everywhere
    if function not in _COPIES and len(devices) > 1:
        raise RuntimeError(f"{function}: tensors on {', '.join(sorted(map(str, devices)))}")
    given = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.device)]
    if given:
        where = given[0]
    elif function is _ATEN.copy_.default:
        where = args[0].device
    else:
        where = next((tensor.device for tensor in tensors if tensor.device != _CPU), _CPU)
    args, kwargs = tree_map_only(torch.device, lambda device: _CPU, (args, kwargs))
    args, kwargs = tree_map_only(Placed, lambda tensor: tensor.inner, (args, kwargs))
    out = function(*args, **kwargs)
    if where == _CPU:
        return out
    placed = functools.partial(Placed, device=where)
    # what is computed in place stays the tensor that it was
    same = {id(tensor.inner): tensor for tensor in tensors if isinstance(tensor, Placed) and tensor.device == where}
    return tree_map_only(torch.Tensor, lambda tensor: same[id(tensor)] if id(tensor) in same else placed(tensor), out)
