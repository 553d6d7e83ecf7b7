"""Predictions of a class: whose answer counts, what a hostile name can do, how large a file grows."""

import json
import threading

import pytest

from kdlib.lessons import votes


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_HOME", str(tmp_path))
    return tmp_path


def test_of_several_answers_of_one_session_the_last_counts():
    for session, answer in (("a", 1), ("b", 2), ("a", 3)):
        votes.share("8b", "01 2", session, [answer])
    votes.share("8b", "01 3", "a", [9])
    votes.share("8c", "01 2", "a", [9])
    assert votes.read("8b", "01 2") == [[3.0], [2.0]]
    assert votes.read(" 8b\n", "01 2") == votes.read("8b", "01 2"), "a class is named by what one sees of its name"
    assert votes.read("8d", "01 2") == []
    assert votes.counts([[3.0], [2.0], [2.0], [7.0], []], 3) == [0, 2, 1]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "a\x00b", "x" * 500, "‮evil", "*?", "ä\ud800"])
def test_no_name_of_a_class_leads_out_of_its_folder(name, home):
    votes.share(name, "01 1", "s", [1])
    (file,) = (home / "classes").iterdir()
    assert file.name.removesuffix(".jsonl").isalnum()
    assert votes.read(name, "01 1") == [[1.0]]
    assert len(votes.clean_class(name)) <= votes.MAX_NAME


def test_a_session_is_not_found_in_the_file(home):
    votes.share("8b", "01 1", "secret-token", [1])
    assert "secret-token" not in next((home / "classes").iterdir()).read_text()


def test_a_class_cannot_fill_the_disk(monkeypatch):
    monkeypatch.setattr(votes, "MAX_BYTES", 150)
    votes.share("8b", "01 1", "first", [1])
    votes.share("8b", "01 1", "second", [1])
    with pytest.raises(ValueError, match="too many answers"):
        votes.share("8b", "01 1", "third", [1] * votes.MAX_NUMBERS)
    assert votes.read("8b", "01 1") == [[1.0], [1.0]]
    monkeypatch.setattr(votes, "MAX_CLASSES", 1)
    with pytest.raises(ValueError, match="1 classes already"):
        votes.share("another", "01 1", "s", [1])


@pytest.mark.parametrize(("name", "answer"), [("", [1]), (" \n", [1]), ("8b", []), ("8b", [1] * 17)])
def test_an_empty_name_and_an_odd_answer_are_refused(name, answer):
    with pytest.raises(ValueError, match="got"):
        votes.share(name, "01 1", "s", answer)


def test_a_line_that_was_cut_off_hides_no_other(home):
    votes.share("8b", "01 1", "a", [1])
    file = next((home / "classes").iterdir())
    file.write_text(file.read_text() + '["01 1", "x"\n' + json.dumps(["01 1", "y", ["no"]]) + "\n")
    votes.share("8b", "01 1", "b", [2])
    assert votes.read("8b", "01 1") == [[1.0], [2.0]]


def test_answers_given_at_once_are_all_kept():
    threads = [threading.Thread(target=votes.share, args=("8b", "01 1", f"s{i}", [i])) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(votes.read("8b", "01 1")) == [[float(i)] for i in range(20)]
