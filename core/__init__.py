"""clearport: image-restoration networks from PyTorch to phones and edge boards, exported, quantized and proven.

The names below are the public Python interface; they are imported when first used, so that ``import clearport``
costs nothing::

    import clearport

    bundle = clearport.export("ncnet", "out/ncnet-x3")
    for artifact in bundle.manifest.artifacts:
        print(artifact.target, artifact.precision, artifact.parity.psnr_db)
"""

from __future__ import annotations

__version__ = "0.1.0"
