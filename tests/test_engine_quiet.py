"""An engine that leaves for want of work is no news: whoever was connected to it logs no error, and no thread ends in a traceback."""

import os
import subprocess
import sys

from tests.test_engine import ROOT, data_folder

CODE = """if True:
    import logging, time
    from kdlib import engine

    logging.basicConfig(level=logging.ERROR)
    while True:  # on a busy machine the first may have left before we ask
        engine.start()
        if engine.status().running and engine.control._client:
            break
    client = engine.control._client
    deadline = time.monotonic() + 90
    while client.status != "closed" and time.monotonic() < deadline:  # it notices, tries to come back, and gives up
        time.sleep(0.1)
    print(client.status, engine.status().running)
"""


def test_an_engine_that_leaves_by_itself_is_not_logged_as_an_error(tmp_path, empty_database):
    with data_folder(tmp_path / "quiet", empty_database, KDLIB_ENGINE_IDLE="8"):
        told = subprocess.run(
            [sys.executable, "-c", CODE], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
        )
    assert told.stdout.split() == ["closed", "False"]
    assert told.stderr == ""
