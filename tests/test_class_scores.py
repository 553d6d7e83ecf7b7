"""Scores class by class, worked out by hand for two or three classes."""

import numpy as np
import pytest

from kdlib.analysis.class_scores import confusion_matrix, false_alarm_matrix, scores_per_class


def test_confusion_matrix_by_hand():
    logits = np.array(
        [[[2, 1], [1, 2], [1, 2]], [[2, 1], [2, 1], [1, 2]]], float
    )  # two members, three items, the last of them unknown
    matrix = confusion_matrix(logits, np.array([0, 1, -1]))
    assert matrix.tolist() == [[1, 0], [0.5, 0.5]]
    frame = scores_per_class(logits, np.array([0, 1, -1]), ["a", "b", "never"])
    assert frame["class"].tolist() == ["a", "b"]
    assert frame["values"].tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_false_alarm_matrix_by_hand():
    labels = np.array([[1, 0, 0], [1, 0, np.nan], [0, 1, 1]], float)
    logits = np.array([[[9, 9, -9], [-9, -9, 9], [9, 9, 9]]], float)  # one member; 9 is predicted, -9 is not
    val_logits, val_labels = (
        np.array([[[1, 1, 1], [-1, -1, -1]]], float),
        np.array([[1, 1, 1], [0, 0, 0]], float),
    )  # thresholds at 0.5
    matrix = false_alarm_matrix(logits, labels, val_logits, val_labels)
    np.testing.assert_allclose(matrix, [[0.5, 0.5, 0.0], [1.0, 1.0, np.nan], [1.0, np.nan, 1.0]])
    frame = scores_per_class(logits, labels, ["a", "b", "c"])
    assert frame["mean"].tolist() == pytest.approx([7 / 12, 1 / 2, 1]), "average precision, equal logits at once"
    assert frame["class"].tolist() == ["a", "b", "c"]
