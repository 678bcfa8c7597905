"""The engine on a disk that looks full while the file named by FAULTS_FULL exists; else exactly the engine."""

import os
import sys
from pathlib import Path

from llmtower_processors.engine import room
from llmtower_processors.engine.__main__ import main

if __name__ == "__main__":
    full = Path(os.environ["FAULTS_FULL"])
    free_bytes = room.free_bytes
    room.free_bytes = lambda folder: 0 if full.exists() else free_bytes(folder)
    sys.exit(main())
