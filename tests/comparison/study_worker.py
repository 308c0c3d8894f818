"""Work on a study, with a stand-in for `seewhy train`; run as a script by test_comparison_execute.py.

python study_worker.py PROGRAM STUDY
"""

import sys

from seewhy.comparison import execute
from seewhy.comparison.folder import StudyFolder
from seewhy.runs import launch, server

if __name__ == "__main__":
    sys.executable, server.FORKS, launch.POLL = sys.argv[1], False, 0.01
    execute.IDLE_SECONDS = execute.LOOK_SECONDS = 0.05
    execute.work(StudyFolder(sys.argv[2]), at_once=2)
