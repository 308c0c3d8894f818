"""The first step: the list of a source's images, with class and split, before any pixel is read.

A source is a folder of class folders, a built-in name, or an `.npz` file. A built-in name always means the built-in set; write
`./mnist`, or give a `pathlib.Path`, for a folder of that name.
"""

from seewhy.data.sources.builtin import BUILTIN, cache_home
from seewhy.data.sources.catalog import Catalog, SourceKind
from seewhy.data.sources.listing import Labels, is_builtin, list_images

__all__ = ["BUILTIN", "Catalog", "Labels", "SourceKind", "cache_home", "is_builtin", "list_images"]
