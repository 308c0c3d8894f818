"""The verbs that the command line and Python share: train, resume, evaluate, check, diagnose, and what a `Run` does.

>>> run = seewhy.train("photos/", activation="elu")     # doctest: +SKIP
>>> run.predict("image.jpg").label                      # doctest: +SKIP
"""

from seewhy.api.comparing import claims, compare, resume_study
from seewhy.api.given import is_run, kept
from seewhy.api.training import check, diagnose, resume, start, train
from seewhy.comparison.study import Study
from seewhy.runs.diagnose.diagnosis import Diagnosis
from seewhy.runs.diagnose.trial import plan_trial, try_remedy
from seewhy.runs.run import Run

__all__ = [
    "Diagnosis",
    "Run",
    "Study",
    "check",
    "claims",
    "compare",
    "diagnose",
    "is_run",
    "kept",
    "plan_trial",
    "resume",
    "resume_study",
    "start",
    "train",
    "try_remedy",
]
