"""Images in, batches out: sources, decoding, the cache, splits, the audit, augmentation and the order of an epoch.

`load_dataset` makes a `Dataset` of a folder, a built-in name, an `.npz` file or arrays, in three steps that can be taken one by one:
`list_images`, `decode` and `split`. `batches` walks through a `Split` of it.
"""

from seewhy.data.audit import Audit, Issue
from seewhy.data.augmentation.augment import Augment
from seewhy.data.augmentation.crop import ResizedCrop
from seewhy.data.augmentation.erase import Cutout, RandomErasing
from seewhy.data.augmentation.mix import Mix, Mixed
from seewhy.data.augmentation.resize import downsample
from seewhy.data.augmentation.techniques import AUGMENTATIONS
from seewhy.data.balance import class_weights
from seewhy.data.batching import Batch, batch_bounds, batches, order
from seewhy.data.codec import decode_file, decode_many, from_pixels
from seewhy.data.dataset import Dataset, Split
from seewhy.data.decoding import LARGE_SIDE, Decoded, DecodeOptions, decode
from seewhy.data.facts import ImageFacts
from seewhy.data.fitting import DecodeRule, Fit
from seewhy.data.formats import is_image_name
from seewhy.data.load import ReadOptions, check_dataset, load_dataset, load_for_evaluation
from seewhy.data.near_copies import NearDuplicates, NearPair, near_duplicates
from seewhy.data.near_kept import kept_near_duplicates
from seewhy.data.reading import BadImageError
from seewhy.data.sources import (
    BUILTIN,
    Arrays,
    Catalog,
    ImageSource,
    TableOptions,
    as_path,
    find_images,
    find_table,
    is_arrays,
    is_builtin,
    keep_arrays,
    list_images,
    source_name,
)
from seewhy.data.splitting import SplitOptions, split

__all__ = [
    "AUGMENTATIONS",
    "BUILTIN",
    "LARGE_SIDE",
    "Arrays",
    "Audit",
    "Augment",
    "BadImageError",
    "Batch",
    "Catalog",
    "Cutout",
    "Dataset",
    "DecodeOptions",
    "DecodeRule",
    "Decoded",
    "Fit",
    "ImageFacts",
    "ImageSource",
    "Issue",
    "Mix",
    "Mixed",
    "NearDuplicates",
    "NearPair",
    "RandomErasing",
    "ReadOptions",
    "ResizedCrop",
    "Split",
    "SplitOptions",
    "TableOptions",
    "as_path",
    "batch_bounds",
    "batches",
    "check_dataset",
    "class_weights",
    "decode",
    "decode_file",
    "decode_many",
    "downsample",
    "find_images",
    "find_table",
    "from_pixels",
    "is_arrays",
    "is_builtin",
    "is_image_name",
    "keep_arrays",
    "kept_near_duplicates",
    "list_images",
    "load_dataset",
    "load_for_evaluation",
    "near_duplicates",
    "order",
    "source_name",
    "split",
]
