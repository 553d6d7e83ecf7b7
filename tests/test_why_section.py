"""The section Why of Compare: findings in words, and a link that sets the change it proposes."""

import pytest

from kdlib.spec import RunSpec
from pages import controls
from tests import stored_runs
from tests.opened_pages import opened, texts

ABSENT = ("pooling", "teacher_mixing", "prefix", "attribute")  # controls of other teachers and methods


@pytest.fixture(autouse=True)
def home(app_home):
    return app_home


def test_it_says_what_the_numbers_of_the_chosen_runs_say():
    ids = [
        stored_runs.store_result(result, result.spec.method)
        for result in stored_runs.trained(methods=("baseline", "raw", "mlp"))
    ]
    app = opened("compare", runs=",".join(ids), show="Why")
    assert not app.exception
    said = texts(app).replace("\\", "")
    assert "A linear probe reads the target from the teacher's embedding with" in said
    assert "the distance went from" in said
    alone = opened("compare", runs=ids[0], show="Why")
    assert not alone.exception
    assert "None of the chosen runs has a teacher" in texts(alone)


def test_the_address_of_a_spec_sets_every_control_of_distill():
    spec = RunSpec(
        teacher="parity", labels=300, method="pca", dim=8, loss="mse", distance_weight=0.4, soft_label_weight=0.3,
        temperature=2.5, student="resnet", width=4, depth=2, epochs=7, batch_size=16, lr=0.003, seeds=9,
        projector="mlp", target_normaliser="standardise", soft_label_loss="dist",
    )  # fmt: skip
    app = opened("distill", **controls.query(spec, ["baseline"]))
    assert not app.exception
    assert app.session_state["methods"] == ["baseline", "pca"]
    fields = [name for name in controls.FIELDS if name not in ABSENT]
    assert {name: app.session_state[name] for name in fields} == {name: getattr(spec, name) for name in fields}
