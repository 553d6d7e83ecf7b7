"""What there is to choose from is the same, read from the text of the modules and asked of the loaded ones."""

import subprocess
import sys

import pytest

from kdlib import catalog, checks
from kdlib.data import datasets
from kdlib.data.imported import DatasetCard, TableCard
from kdlib.models import compressors, pooling, projectors, students, teachers
from kdlib.registry import first_line
from kdlib.training import augmentation, label_losses, losses, target_normalisers

pytestmark = pytest.mark.usefixtures("no_model_teachers")
HEAVY = {"torch", "sklearn", "scipy", "pandas", "mlflow", "distributed"}
LOADED = {
    "datasets": {name: first_line(make) for name, make in datasets.DATASETS.items()},
    "teachers": {name: each.help for name, each in teachers.TEACHERS.items()},
    "methods": checks.describe_methods(),
    "compressors": {name: first_line(each.build) for name, each in compressors.COMPRESSORS.items()},
    "losses": {name: first_line(each.function) for name, each in losses.LOSSES.items()},
    "projectors": {name: first_line(build) for name, build in projectors.PROJECTORS.items()},
    "target-normalisers": {
        name: first_line(each.function) for name, each in target_normalisers.TARGET_NORMALISERS.items()
    },
    "soft-label-losses": {name: first_line(each) for name, each in label_losses.SOFT_LABEL_LOSSES.items()},
    "students": {name: first_line(build) for name, build in students.STUDENTS.items()},
    "poolings": {name: first_line(each.function) for name, each in pooling.POOLINGS.items()},
    "augmentations": {name: first_line(each.function) for name, each in augmentation.AUGMENTATIONS.items()},
}


@pytest.fixture
def no_model_teachers(monkeypatch):
    """Which packages are installed does not matter here."""
    monkeypatch.setattr(catalog, "list_model_teachers", dict)


@pytest.mark.parametrize("what", catalog.NAMES)
def test_the_loaded_registry_is_listed(what):
    assert {entry["name"]: entry["help"] for entry in catalog.list_entries(what)} == LOADED[what]


@pytest.mark.parametrize("what", [name for name in catalog.NAMES if name != "methods"])
def test_the_text_of_a_registry_says_what_the_loaded_one_says(what, monkeypatch):
    loaded = catalog.list_entries(what)
    assert list(catalog.read_registry(what)) == [entry["name"] for entry in loaded], (
        "a new kind of entry: teach `catalog` to read it"
    )
    monkeypatch.delitem(sys.modules, catalog.MODULES[what])
    assert catalog.list_entries(what) == loaded


def test_names_and_order_are_those_of_the_registry():
    assert [entry["name"] for entry in catalog.list_entries("teachers")] == list(teachers.TEACHERS)
    assert catalog.list_entries("teachers")[0] == {
        "name": "autoencoder",
        "takes": "images",
        "supervision": "unsupervised",
        "source task": "restore the image (unlabelled pool)",
        "help": "Restores images of which half is hidden",
    }


def test_what_was_imported_is_listed(monkeypatch):
    card = DatasetCard(
        title="own",
        created=0,
        rows=1234,
        classes=["a", "b"],
        splits=["train", "val", "test"],
        attributes={},
        tables={"vggish": TableCard(file="x.npy", width=128, source_task="tags")},
        inputs="inputs.npy",
        shape=[4],
        modality="vector",
        rate=0,
        name="own@1",
    )
    monkeypatch.setattr("kdlib.data.imported.cards", lambda: {"own@1": card})
    assert catalog.list_entries("datasets")[-1] == {"name": "own@1", "help": datasets.describe_datasets()["own@1"]}
    assert catalog.list_entries("teachers")[-1] == {
        "name": "own@1/vggish",
        "takes": "vectors",
        "supervision": "imported",
        "source task": "tags",
        "help": teachers.imported_teachers()["own@1/vggish"].help,
    }


def test_an_entry_that_its_text_does_not_say_makes_its_module_load(monkeypatch):
    def unreadable(_module):
        raise catalog.UnreadableError

    monkeypatch.setattr(catalog, "read_registry", unreadable)
    monkeypatch.delitem(sys.modules, "kdlib.training.losses")
    monkeypatch.setattr(catalog, "import_module", lambda _name: losses)
    assert {entry["name"] for entry in catalog.list_entries("losses")} == set(losses.LOSSES)


def test_an_unknown_registry_lists_the_choices():
    with pytest.raises(ValueError, match="unknown registry 'everything', choose one of: datasets, teachers"):
        catalog.list_entries("everything")


@pytest.mark.parametrize("what", catalog.NAMES)
def test_a_list_once_loaded_torch_and_scikit_learn(what):
    code = f"import sys; from kdlib.cli.main import main; main(['list', {what!r}]); "
    code += f"print(*{HEAVY!r} & set(sys.modules), 'end', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "end\n"
    assert len(done.stdout.splitlines()) >= 2
