"""Pictures with captions: where images lie, and that long lines are cut."""

import numpy as np
import pytest

from seewhy.reporting import captioned_sheet
from seewhy.reporting.captioned import GAP, LINE, SIDE


def test_images_lie_side_by_side_and_tiles_row_by_row():
    red, blue = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    sheet = captioned_sheet([((red, blue), ("one", "two"))] * 3, columns=2)
    width, height = 2 * SIDE + 2, SIDE + 2 + 2 * LINE
    assert sheet.shape == (2 * (height + GAP) + GAP, 2 * (width + GAP) + GAP, 3)
    for left, top in ((GAP, GAP), (2 * GAP + width, GAP), (GAP, 2 * GAP + height)):
        assert sheet[top + 5, left + 5].tolist() == [255, 0, 0]
        assert sheet[top + 5, left + SIDE + 2 + 5].tolist() == [0, 0, 255]
        assert sheet[top + 5, left + SIDE + 2 + SIDE // 2 + 5].tolist() == [255, 255, 255]
        assert sheet[top + SIDE + 2 : top + height, left : left + width].min() < 100
    assert (sheet[-height:, -width:] == 255).all()


def test_long_lines_stay_within_their_tile():
    grey = np.full((4, 4), 128, np.uint8)
    sheet = captioned_sheet([((grey,), ("a/very/long/path/" * 9 + "end.jpg",)), ((grey,), ("",))])
    assert (sheet[SIDE + GAP :, GAP + SIDE : GAP + SIDE + GAP] == 255).all()
    with pytest.raises(ValueError, match="tiles: must hold at least one"):
        captioned_sheet([])
