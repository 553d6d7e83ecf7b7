"""Texts: from a table to what a student gets, what teachers read, and how the app shows them."""

import os
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from kdlib.analysis.items import short_text, text_table
from kdlib.checks import default_spec
from kdlib.cli.main import main
from kdlib.data import datasets, imported, importing
from kdlib.data.intake import IntakeError, Limits
from kdlib.data.texts import hash_texts
from kdlib.models import embedding, teachers
from kdlib.models.providers.packaged import NETWORKS
from kdlib.pipeline import compare
from pages import maps, own_data
from tests import stored_runs
from tests.opened_pages import opened, sent_to_maps, tables, texts

TOPICS = {
    "weather": "rain sun wind storm cloud snow warm cold",
    "kitchen": "bread salt soup oven pan knife sugar butter",
    "garden": "rose tree soil seed leaf spade grass root",
}
FILLER = ["the", "a", "and", "of", "with", "on", "very", "little", "much", "then", "again", "near"]
HOSTILE = "# **bold** [a](http://x.example) <img src=x onerror=alert(1)> $x^2$ :material/home: \u202eabc =1+1"


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


def sentences(rows=90):
    """Return texts about three topics, and the topic of each."""
    rng, topics = np.random.default_rng(0), list(TOPICS) * (rows // 3)
    words = [[rng.choice(TOPICS[topic].split() if i % 3 == 0 else FILLER) for i in range(9)] for topic in topics]
    return [f"{' '.join(each)}, no. {row}." for row, each in enumerate(words)], topics


def table(path, read, labels, names=("review", "topic")):
    """Write a CSV; return its path."""
    lines = ['"{}",{}'.format(text.replace('"', '""'), label) for text, label in zip(read, labels, strict=True)]
    path.write_text("\n".join([",".join(names), *lines, ""]), encoding="utf-8")
    return path


def with_vectors(path):
    """Write an .npz of texts and an embedding; return its path."""
    read, topics = sentences()
    vectors = np.random.default_rng(0).normal(size=(90, 4))
    np.savez(path, label=np.array(topics), words=np.array(read), vectors=vectors)
    return path


def stored(path, title="reviews", **changes):
    source = importing.stage(path)
    plan = replace(importing.guess_plan(source), **changes)
    return importing.store_dataset(source, importing.build_draft(source, plan), title)


# --- from a table to a dataset


def test_a_table_of_texts_is_recognised_and_its_texts_are_kept(tmp_path):
    read, topics = sentences()
    source = importing.stage(table(tmp_path / "a.csv", read, topics))
    plan = importing.guess_plan(source)
    assert (plan.inputs, plan.target, plan.tables) == ("review", ("topic",), ())
    name = importing.store_dataset(source, importing.build_draft(source, plan), "reviews")
    data = datasets.load(name)
    assert (data.modality, data.inputs.shape, data.inputs.dtype) == ("text", (90, 1024), np.float16)
    assert [data.read(row) for row in range(90)] == read
    np.testing.assert_array_equal(data.inputs, hash_texts(read))
    assert [data.classes[label] for label in data.labels] == topics


def test_long_texts_are_kept_without_a_second_copy(tmp_path):
    read, topics = sentences()
    read[4] = 'Zürich, "Straße"\nund 日本語 🙂. ' * 40
    source = importing.stage(table(tmp_path / "a.csv", read, topics))
    assert source.text_columns == ["topic"]
    assert source.input_columns == ["review", "topic"]
    name = importing.store_dataset(source, importing.build_draft(source, importing.guess_plan(source)), "reviews")
    data = datasets.load(name)
    assert [data.read(row) for row in range(90)] == read
    np.testing.assert_array_equal(data.inputs, hash_texts(read))
    kept = imported.dataset_folder(name) / "texts.raw"
    assert os.path.samefile(kept, source.folder / source.columns["review"].file)
    assert kept.read_bytes() == "".join(read).encode()


def test_the_texts_count_for_the_name_although_the_students_bag_is_the_same(tmp_path):
    read, topics = sentences()
    lower, upper = [table(tmp_path / f"{i}.csv", each, topics) for i, each in enumerate((read, map(str.upper, read)))]
    first, second = stored(lower), stored(upper)
    assert first != second
    np.testing.assert_array_equal(datasets.load(first).inputs, datasets.load(second).inputs)


def test_a_column_of_texts_can_be_named_where_it_would_not_be_taken(tmp_path):
    path = with_vectors(tmp_path / "a.npz")
    source = importing.stage(path)
    assert importing.guess_plan(source).inputs == "vectors", "numbers come first"
    name = stored(path, inputs="words", tables=("vectors",))
    assert datasets.load(name).modality == "text"
    assert default_spec(name).dataset == name
    assert f"{name}/vectors" in teachers.compatible_teachers(name)


def test_short_and_repeated_values_are_no_texts(tmp_path):
    topics = sentences()[1]
    for values in (topics, [f"{i}" for i in range(90)], ["a much longer value, always the same"] * 90):
        source = importing.stage(table(tmp_path / "a.csv", values, topics, names=("value", "topic")))
        assert importing.guess_plan(source).inputs == ""
        with pytest.raises(IntakeError, match="no recordings, pictures, texts or numbers"):
            importing.build_draft(source, importing.guess_plan(source))


def test_what_cannot_be_is_refused_in_words(tmp_path, monkeypatch):
    read, topics = sentences()
    source = importing.stage(table(tmp_path / "a.csv", read, topics))
    plan = importing.guess_plan(source)
    with pytest.raises(IntakeError, match="'topic' cannot be both the class and what the student gets"):
        importing.build_draft(source, replace(plan, inputs="topic"))
    with pytest.raises(IntakeError, match="'other' is no column of numbers or texts; there are: review, topic"):
        importing.build_draft(source, replace(plan, inputs="other"))
    constant = importing.stage(table(tmp_path / "b.csv", ["the same everywhere"] * 90, topics, ("constant", "topic")))
    plan = replace(plan, inputs="constant")
    with pytest.raises(IntakeError, match="'constant' is constant"):
        importing.build_draft(constant, plan)
    with pytest.raises(IntakeError, match=r"review holds a text of 301 characters in row 3, at most 300 can be read"):
        importing.stage(
            table(tmp_path / "c.csv", [*read[:3], "x" * 301, *read[4:]], topics), limits=replace(Limits(), text=300)
        )
    read[5] = "  "
    source = importing.stage(table(tmp_path / "d.csv", read, topics))
    assert "'review' has 1 blank texts" in importing.build_draft(source, importing.guess_plan(source)).warnings


def test_long_texts_beside_other_items_are_left_out_with_a_note(tmp_path):
    read, topics = sentences()
    labels = table(tmp_path / "labels.csv", [text * 10 for text in read], topics, ("caption", "topic"))
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32))
    source = importing.stage(tmp_path / "a.npy", beside=[(labels, "labels.csv")])
    assert "caption" not in source.columns
    assert any("long texts 'caption' of labels.csv are left out" in note for note in source.notes)


# --- what a student gets


def test_bags_of_words_count_what_occurs_whatever_the_case():
    bags = hash_texts(["The cat sat.", "the CAT sat", "A dog barked loudly", "", "?"]).astype(np.float32)
    assert bags.shape == (5, 1024)
    np.testing.assert_array_equal(bags[0, :512], bags[1, :512])
    np.testing.assert_allclose((bags[:3, :512] ** 2).mean(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose((bags[:3, 512:] ** 2).mean(axis=1), 1, atol=1e-3)
    assert np.count_nonzero(bags[0, :512]) == 5, "three words and two pairs"
    assert abs(bags[0] @ bags[2]) < 0.2 * bags[0] @ bags[0]
    assert not bags[3].any()


def test_a_bag_is_as_wide_as_one_says(tmp_path):
    read, topics = sentences()
    path = table(tmp_path / "a.csv", read, topics)
    np.testing.assert_array_equal(datasets.load(stored(path, text_width=64)).inputs, hash_texts(read, 64))
    for width in (8, 65, 20_000):
        with pytest.raises(ValueError, match=f"even number of 16 to 16,384 places, got {width:,}"):
            stored(path, text_width=width)


def test_a_student_of_texts_learns_topics(tmp_path):
    name = stored(table(tmp_path / "a.csv", *sentences(240)))
    spec = default_spec(name)
    assert (spec.student, spec.teacher) == ("mlp", "")
    (result,) = compare([spec.replace(method="baseline", seeds=2, labels=90, epochs=20)])
    assert result.score("test").mean > 0.6


def test_a_teacher_of_texts_trains_students(tmp_path, capsys):
    if NETWORKS["wordllama"].weights is None:
        pytest.skip("wordllama is not installed: `make teachers`")
    path = table(tmp_path / "a.csv", *sentences())
    assert main(["import", str(path), "--name", "reviews", "--inputs", "review"]) == 0
    assert "90 items, texts of shape 1024" in capsys.readouterr().out
    (name,) = imported.cards()
    assert teachers.compatible_teachers(name) == ["pip:wordllama"]
    spec = default_spec(name).replace(teacher="pip:wordllama", dim=8, labels=30, epochs=2, seeds=1)
    results = compare([spec.replace(method=method) for method in ("baseline", "raw", "pca")])
    assert [each.status for each in results] == ["done"] * 3
    assert embedding.embed("pip:wordllama", name).shape == (90, 256)


# --- the app


def test_texts_are_shown_literally_and_in_one_line(home, tmp_path):
    read, topics = sentences()
    name = stored(table(tmp_path / "a.csv", [f"{HOSTILE}\n\n{text}" for text in read], topics))
    data = datasets.load(name)
    shown = text_table(data)
    assert list(shown.columns) == ["class", "text"]
    assert shown["class"].tolist() == sorted([*TOPICS] * 6), "6 test items each"
    assert all(text.startswith(HOSTILE) and "\n" not in text for text in shown["text"])
    assert short_text(data, 0, 10) == HOSTILE[:9] + "…"
    fact = maps.row_facts(data, np.array([3, 8]), None)[-1]
    assert (fact.name, fact.names, fact.codes.tolist()) == ("text", [short_text(data, 3), short_text(data, 8)], [0, 1])

    app = opened("data_teachers", dataset=name)
    assert not app.exception
    assert not app.error
    frame = next(each for each in tables(app) if "text" in each)
    assert frame["text"].tolist() == shown["text"].tolist()
    assert "onerror" not in texts(app), "in the table only, which shows it letter by letter"


@pytest.mark.parametrize("page", ["start", "distill", "compare", "embeddings", "runs"])
def test_pages_take_a_dataset_of_texts(page, tmp_path):
    name = stored(table(tmp_path / "a.csv", *sentences()))
    app = opened(page, dataset=name)
    assert not app.exception


def test_a_column_of_texts_is_offered_as_what_the_student_gets(tmp_path):
    app = opened("data_teachers")
    app.session_state[own_data.OPEN] = True
    app.session_state[own_data.STAGED] = importing.stage(table(tmp_path / "a.csv", *sentences())).token
    app.run()
    assert not app.exception
    choice = app.selectbox(key="own-inputs")
    assert (choice.options, choice.value) == (["review", "topic"], "review")
    assert "1024 numbers per item" in texts(app)


def test_the_spaces_of_texts_say_what_was_written_and_draw_no_pictures(tmp_path):
    name = stored(with_vectors(tmp_path / "a.npz"), inputs="words", tables=("vectors",))
    spec = default_spec(name).replace(teacher=f"{name}/vectors", method="raw", labels=30, epochs=2, seeds=1, dim=4)
    run_id = stored_runs.store_result(compare([spec])[0], "texts")
    data = datasets.load(name)
    rows = data.splits["test"][:3].tolist()
    app = opened("embeddings", runs=run_id, row=",".join(map(str, rows)), below="Selected rows")
    assert not app.exception
    selected = next(each for each in tables(app) if "text" in each)
    assert selected["text"].tolist() == [data.read(row) for row in rows]
    assert "picture" not in selected
    app = opened("embeddings", runs=run_id, row=str(rows[0]))
    sent = sent_to_maps(app)
    read = {item["row"]: item["text"] for group in sent["neighbours"]["groups"] for item in group["items"]}
    assert len(read) >= 8
    assert read == {row: data.read(row) for row in read}
    assert not sent["item"], "no pictures of hashed words"


def test_neighbours_are_listed_as_texts(tmp_path):
    name = stored(table(tmp_path / "a.csv", *sentences()))

    def script(name):
        import numpy as np

        from kdlib.data import datasets
        from pages.map_sections import show_gallery

        show_gallery(datasets.load(name), np.array([0, 1]))

    app = AppTest.from_function(script, args=(name,)).run()
    read, topics = sentences()
    assert not app.exception
    assert app.text[0].value == f"{topics[0]}: {read[0]}\n{topics[1]}: {read[1]}"
