"""Pictures in, batches out: sources, decoding, the cache, splits, the audit, augmentation and the order of an epoch.

`prepare` makes a `Dataset` of a folder, a built-in name or an `.npz` file; `batches` walks through a `Part` of it.
"""

from seewhy.data.audit import Audit, Issue
from seewhy.data.augment import Augment
from seewhy.data.augmentations import AUGMENTATIONS
from seewhy.data.crop import ResizedCrop
from seewhy.data.dataset import Dataset, Part
from seewhy.data.decode import BadImageError, decode_file, decode_many, from_pixels, is_image_name
from seewhy.data.erase import Cutout, RandomErasing
from seewhy.data.loader import Batch, batch_bounds, batches, order
from seewhy.data.mix import Mix, Mixed
from seewhy.data.prepare import check, prepare, prepare_all
from seewhy.data.resize import shrink
from seewhy.data.sources import BUILTIN, is_builtin

__all__ = [
    "AUGMENTATIONS",
    "BUILTIN",
    "Audit",
    "Augment",
    "BadImageError",
    "Batch",
    "Cutout",
    "Dataset",
    "Issue",
    "Mix",
    "Mixed",
    "Part",
    "RandomErasing",
    "ResizedCrop",
    "batch_bounds",
    "batches",
    "check",
    "decode_file",
    "decode_many",
    "from_pixels",
    "is_builtin",
    "is_image_name",
    "order",
    "prepare",
    "prepare_all",
    "shrink",
]
