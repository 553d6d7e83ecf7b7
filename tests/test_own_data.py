"""Own data, without a browser: what a stopped job leaves is gone before the page says so."""

import threading

import pytest

from pages import own_data, page_jobs
from tests.opened_pages import opened, texts


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


def test_the_page_waits_for_a_stopped_job_to_clean_up_before_it_says_that_nothing_is_left():
    """A click begins the next run of the page at once, in another thread than the one that still removes files."""
    app = opened("data_teachers")
    working, cleaned = threading.Lock(), threading.Event()
    working.acquire()

    def clean_up():
        cleaned.set()
        working.release()

    app.session_state[page_jobs.lock_key(own_data.OPEN)] = working
    app.session_state[own_data.OPEN] = True
    app.session_state[own_data.REFUSED] = "Reading many.zip was stopped; nothing of it is left."
    timer = threading.Timer(0.5, clean_up)
    timer.start()
    app.run()
    assert cleaned.is_set()
    assert "nothing of it is left" in texts(app)
    timer.join()
