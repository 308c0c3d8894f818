"""Pictures in, batches out: sources, decoding, the cache, splits, the audit, augmentation and the order of an epoch.

`prepare` makes a `Dataset` of a folder, a built-in name or an `.npz` file; `batches` walks through a `Part` of it.
"""

from seewhy.data.audit import Audit, Issue
from seewhy.data.dataset import Dataset, Part
from seewhy.data.decode import BadImage, decode_file, decode_many
from seewhy.data.loader import Batch, batch_bounds, batches, order
from seewhy.data.prepare import Check, check, prepare
from seewhy.data.sources import BUILTIN

__all__ = [
    "BUILTIN",
    "Audit",
    "BadImage",
    "Batch",
    "Check",
    "Dataset",
    "Issue",
    "Part",
    "batch_bounds",
    "batches",
    "check",
    "decode_file",
    "decode_many",
    "order",
    "prepare",
]
