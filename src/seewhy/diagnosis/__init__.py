"""Why a network learns or does not: watching anybody's training loop, and saying what is wrong with it.

`watch(model, optimizer)` measures at chosen steps (`probe`), keeps what it measured as records (`records`), and lets checks (`checks`) judge
them. Nothing of the loop is patched, no attribute is added to anybody's module, and no bit of the training changes.
`sanity(model, batch, loss)` tries a program on one batch before it is trained (`trial`).
"""

from seewhy.diagnosis.begin import watch
from seewhy.diagnosis.judging import Judged, rejudge
from seewhy.diagnosis.trial import Sanity, sanity
from seewhy.diagnosis.watcher import Watch

__all__ = ["Judged", "Sanity", "Watch", "rejudge", "sanity", "watch"]
