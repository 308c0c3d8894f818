"""The first step: the list of a source's images, with class and split, before any pixel is read.

A source is a folder of class folders, tar shards, a data set saved by `datasets`, a built-in name, an `.npz` file, or arrays in memory. A
built-in name always means the built-in set; write `./mnist`, or give a `pathlib.Path`, for a folder of that name.
"""

from seewhy.data.sources.builtin import BUILTIN, cache_folder
from seewhy.data.sources.catalog import Catalog, SourceKind
from seewhy.data.sources.find import find_images
from seewhy.data.sources.kept import Arrays, is_arrays, keep_arrays
from seewhy.data.sources.labelled import TableOptions
from seewhy.data.sources.listing import ImageSource, Labels, is_builtin, list_images
from seewhy.data.sources.paths import as_path, source_name
from seewhy.data.sources.table import find_table

__all__ = [
    "BUILTIN",
    "Arrays",
    "Catalog",
    "ImageSource",
    "Labels",
    "SourceKind",
    "TableOptions",
    "as_path",
    "cache_folder",
    "find_images",
    "find_table",
    "is_arrays",
    "is_builtin",
    "keep_arrays",
    "list_images",
    "source_name",
]
