"""Reports and figures drawn from plain records, whoever measured them.

The records import nothing heavy; the figures' library is loaded when the first figure is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from seewhy.reporting.blocks import Block, Chart, Figures, Frames, Paragraph, Section, Sheet, Table
from seewhy.reporting.comparison_records import (
    ComparisonRecord,
    FindingRecord,
    Interaction,
    PairRecord,
    RunRecord,
    StudyTable,
    TableCell,
    VariantRecord,
)
from seewhy.reporting.records import (
    AugmentationRecord,
    AugmentedRow,
    ChoiceRow,
    EvaluationRecord,
    Health,
    ImagePair,
    LinePlot,
    Mistake,
    NetworkHealth,
    ReportRecord,
)

if TYPE_CHECKING:
    from seewhy.reporting.augmentations import augmentation_fragment, augmentation_sheet
    from seewhy.reporting.captioned import captioned_sheet
    from seewhy.reporting.claims import claim_chart, render_claims
    from seewhy.reporting.classification import confusion_matrix_chart, reliability_diagram
    from seewhy.reporting.comparison import comparison_fragment, render_comparison
    from seewhy.reporting.curves import curve_panels, learning_curves, member_panels
    from seewhy.reporting.figures import latent_kl_chart, save_figure
    from seewhy.reporting.findings import render_why
    from seewhy.reporting.html import render_report
    from seewhy.reporting.images import image_grid, png_data_uri, thumbnail_data_uri
    from seewhy.reporting.layer_statistics import layer_statistics_panels
    from seewhy.reporting.model_card import ModelCard, render_model_card
    from seewhy.reporting.trajectories import Trajectory, TrajectoryRecord, trajectory_chart
    from seewhy.reporting.trajectory_page import render_trajectories

_MODULES = {
    "augmentation_fragment": "augmentations",
    "augmentation_sheet": "augmentations",
    "claim_chart": "claims",
    "render_claims": "claims",
    "confusion_matrix_chart": "classification",
    "reliability_diagram": "classification",
    "comparison_fragment": "comparison",
    "render_comparison": "comparison",
    "curve_panels": "curves",
    "learning_curves": "curves",
    "member_panels": "curves",
    "latent_kl_chart": "figures",
    "save_figure": "figures",
    "render_report": "html",
    "render_why": "findings",
    "image_grid": "images",
    "captioned_sheet": "captioned",
    "png_data_uri": "images",
    "thumbnail_data_uri": "images",
    "layer_statistics_panels": "layer_statistics",
    "ModelCard": "model_card",
    "render_model_card": "model_card",
    "Trajectory": "trajectories",
    "TrajectoryRecord": "trajectories",
    "trajectory_chart": "trajectories",
    "render_trajectories": "trajectory_page",
}

__all__ = [
    "AugmentationRecord",
    "AugmentedRow",
    "Block",
    "Chart",
    "ChoiceRow",
    "ComparisonRecord",
    "EvaluationRecord",
    "Figures",
    "FindingRecord",
    "Frames",
    "Health",
    "ImagePair",
    "Interaction",
    "LinePlot",
    "Mistake",
    "ModelCard",
    "NetworkHealth",
    "PairRecord",
    "Paragraph",
    "ReportRecord",
    "RunRecord",
    "Section",
    "Sheet",
    "StudyTable",
    "Table",
    "TableCell",
    "Trajectory",
    "TrajectoryRecord",
    "VariantRecord",
    "augmentation_fragment",
    "augmentation_sheet",
    "captioned_sheet",
    "claim_chart",
    "comparison_fragment",
    "confusion_matrix_chart",
    "curve_panels",
    "image_grid",
    "latent_kl_chart",
    "layer_statistics_panels",
    "learning_curves",
    "member_panels",
    "png_data_uri",
    "reliability_diagram",
    "render_claims",
    "render_comparison",
    "render_model_card",
    "render_report",
    "render_trajectories",
    "render_why",
    "save_figure",
    "thumbnail_data_uri",
    "trajectory_chart",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
