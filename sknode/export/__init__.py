"""Fitted estimators as ONNX graphs, which run without torch and without sknode.

The nodes are written here and not by torch.onnx.export, which in torch 2.13 takes 13 s for the
ten steps of dopri5 that are written in 0.02 s, logs and warns on the user's screen, leaves paths
of the exporting machine in the file, and uses operators that onnxruntime lacks in float64.
"""

from .onnx_file import Export, export_onnx

__all__ = ["Export", "export_onnx"]
