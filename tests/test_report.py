"""Reports: the numbers of the store, recomputed here; hostile names shown literally in every format."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from scipy import stats

from kdlib import runs, store
from kdlib.analysis.figures.style import library_script
from kdlib.analysis.verdicts import verdict
from kdlib.cli.main import main
from kdlib.data import datasets
from kdlib.export.report import make_report, render, write_report
from kdlib.export.report_background import comparisons
from kdlib.export.report_blocks import Table
from kdlib.export.report_markdown import escape, fenced
from kdlib.spec import RunSpec
from tests.stored_runs import SPEC, store_all, store_result, trained

MEGABYTE = 1_000_000
NAMES = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a|b `c` **d**",
    "=cmd()", "$x^2$", "[link](http://example.org)", "<!--", "http://example.org/x", "{{ 7 * 7 }}",
)  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, the cells of tables, scripts, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.tables, self.scripts, self.text = [], [], [], []
        self._inside = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts.append((self.elements[-1][1], data))
        elif inside != "style":
            self.text.append(data)
            if inside in ("td", "th"):
                self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def stored(tmp_path_factory, empty_database):
    """Return the ids of runs in a store that the tests here share."""
    home = tmp_path_factory.mktemp("reports")
    shutil.copyfile(empty_database, home / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("KDLIB_SCHEDULER", raising=False)
        yield store_all()


@pytest.fixture(scope="module")
def text(stored):
    return render(stored, "html")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_has_the_means_and_intervals_of_the_stored_values(stored, page):
    tables = page.tables
    rows = {row[0]: row for row in tables[0][1:]}
    for run_id, label in zip(
        stored, ("no teacher (baseline)", "teacher as it is (raw)", "trained, two layers (mlp), 4"), strict=True
    ):
        metrics = json.loads(store.artifact_path(run_id, "result.json").read_text())["metrics"]
        for split, column in (("test", "in-domain"), ("ood", "mean out-of-domain")):
            values = 100 * np.array(metrics[split]["accuracy"]["values"])
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            cell = rows[label][tables[0][0].index(column)]
            assert cell == f"{values.mean():.1f} ± {half:.1f}"
        assert rows[label][-1] == str(len(values))


def test_the_page_has_the_paired_differences_of_the_stored_values(stored, page):
    rows = {row[0]: row for row in page.tables[1]}
    mlp, raw = (np.array(runs.result(run).metrics["test"]["accuracy"].values) for run in (stored[2], stored[1]))
    interval = stats.ttest_rel(mlp, raw).confidence_interval(0.95)
    mean, half = 100 * (mlp - raw).mean(), 50 * (interval.high - interval.low)
    star = " *" if abs(mean) > half else ""
    assert rows["trained, two layers (mlp), 4 − teacher as it is (raw)"][1] == f"{mean:+.1f} ± {half:.1f}{star}"


def test_the_result_stands_first_and_is_what_compare_says(stored, page):
    sentence = verdict([runs.result(run) for run in stored])
    assert sentence in page.text
    assert "".join(page.text).index(sentence) < "".join(page.text).index("Question")
    assert "baseline − raw" not in "".join(page.text), "raw less baseline says the same"


def test_the_page_is_one_file_below_six_megabytes_with_plotly_once(text):
    assert len(text.encode()) < 6 * MEGABYTE
    assert text.count(library_script()[:2000]) == 1


def test_the_policy_of_the_page_lets_its_own_scripts_run_and_nothing_else(page):
    [policy] = [
        given["content"] for tag, given in page.elements if given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    run = [text for given, text in page.scripts if given.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"sha256-([^']+)", policy) == hashes
    links = [value for _, given in page.elements for key, value in given.items() if key in ("src", "href", "action")]
    assert all(link.startswith("#") or link == "data:," for link in links)


def test_sections_answer_what_a_supervisor_asks(stored):
    report = make_report(stored)
    assert [section.name for section in report.sections] == [
        "question", "accuracy", "differences", "kept", "maps", "data", "teachers", "methods", "training", "costs",
        "reproduce", "limits", "citations",
    ]  # fmt: skip
    text = render(stored, "md")
    for fact in (datasets.content("digits"), "2402.06761", "torch: 2.13", "licence", SPEC.identity, stored[0], "n | "):
        assert fact in text, fact


@pytest.fixture
def hostile(fresh_home, monkeypatch):
    """Return the ids of runs on data whose every name is an attack, under names that are."""
    name = "<i>hostile</i>`|"

    def build():
        "A <b>dataset</b> | with `hostile` labels"
        data = datasets.digits()
        attributes = {NAMES[0]: replace(next(iter(data.attributes.values())))} if data.attributes else {}
        return replace(data, name=name, classes=NAMES, attributes=attributes)

    monkeypatch.setitem(datasets.DATASETS, name, build)
    spec = SPEC.replace(dataset=name)
    return [store_result(result, NAMES[i]) for i, result in enumerate(trained(spec))]


def test_hostile_names_are_text_in_the_page(hostile):
    page = Page(render(hostile, "html"))
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 3
    assert not {"img", "i", "b"} & {tag for tag, _ in page.elements}
    assert not [given for _, given in page.elements if any(key.startswith("on") for key in given)]
    text = "".join(page.text)
    assert all(name in text for name in NAMES)
    [data] = [text for given, text in page.scripts if given.get("type") == "application/json"]
    assert "<" not in data
    assert "&lt;script&gt;" in json.dumps(json.loads(data)), "plotly itself reads tags in names"


def test_hostile_names_are_text_in_markdown_and_in_the_notebook(hostile):
    notebook = nbformat.reads(render(hostile, "ipynb"), as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    for text in (render(hostile, "md"), "\n\n".join(cells)):
        prose = re.sub(r"^(`{3,})[a-z]*\n.*?^\1$", "", text, flags=re.M | re.S)
        assert not re.search(r"<(script|img|i|b|!--)", prose)
        assert not re.search(r"(?<!\\)[`$]", prose)
        assert "](http" not in prose.replace("\\]", "")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, "cell", "exec")


def test_a_pipe_in_a_name_is_no_column():
    assert escape("a|b") == r"a\|b"
    assert escape("1. x") == r"1\. x"
    assert escape("55.6 ± 2.5") == "55.6 ± 2.5"
    assert fenced("```\n<b>", "text").startswith("````text")


def test_text_stands_left_and_numbers_right():
    assert Table(["", "a", "b"], [["x", "1.0 ± 2", "y"], ["z", "–", "1"]]).numeric == [False, True, False]


def test_runs_that_are_not_done_are_named_and_left_out(stored):
    failed = store.create(SPEC, name="went <wrong>", user="")
    store.set_state(failed, "failed", reason="diverged: 2 of 2")
    text = render([*stored, failed], "md")
    assert "went &lt;wrong&gt;" in text
    assert "it failed: diverged: 2 of 2" in text
    with pytest.raises(ValueError, match="at least one finished run"):
        render([failed], "html")


def test_a_dataset_that_was_deleted_once_left_its_runs_without_a_report(fresh_home):
    gone = [replace(result, spec=result.spec.replace(dataset="gone@12345678")) for result in trained()]
    text = render([store_result(result, "x") for result in gone], "html")
    assert "not on this machine any more" in text
    assert "This cannot be run here" in text


def test_specs_that_differ_in_their_method_alone_are_one_comparison():
    spec = RunSpec(dim=4)
    specs = [spec.replace(method="baseline", dim=16), spec.replace(method="raw", dim=99), spec, spec.replace(dim=8)]
    grouped = comparisons(specs)
    assert [names for _, names in grouped] == [["baseline", "raw", "mlp"], ["mlp"]]
    assert grouped[0][0].dim == 4


@pytest.mark.parametrize("ending", ["html", "ipynb", "md"])
def test_the_command_writes_a_report(stored, tmp_path, capsys, ending):
    path = tmp_path / f"out.{ending}"
    assert main(["report", stored[0], "stored raw", stored[2][:12], "--to", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert "mlp" in path.read_text()


def test_the_command_takes_the_name_of_several_runs_and_says_what_it_cannot_write(fresh_home, tmp_path, capsys):
    ids = [store_result(result, "one name") for result in trained()]
    assert [run.id for run in runs.find_all(["one name"])] == ids
    assert main(["report", "one name", "--to", str(tmp_path / "a.docx")]) == 2
    assert "html, .ipynb, .md" in capsys.readouterr().err
    assert main(["report", "nobody", "--to", str(tmp_path / "a.md")]) == 2
    assert not list(tmp_path.glob("a.*"))


def test_a_sweep_is_known_by_its_name(stored):
    for run_id in stored:
        store.add_to_group(run_id, "0123456789ab")
    assert [run.id for run in runs.find_all(["0123456789ab"])] == stored


def test_a_written_report_has_measured_how_alike_the_spaces_are(fresh_home, tmp_path):
    stored = store_all()
    assert "linear CKA" not in render(stored, "md")
    write_report(stored, tmp_path / "a.md")
    assert "linear CKA" in (tmp_path / "a.md").read_text()
