"""Data frames in, plotly figures out. This package alone imports plotly.

style      colours by role, labels, the empty figure, a figure as a page
curves     training curves
accuracy   accuracies with intervals and seeds: bars, over the dimension, over a cost
items      one item: its probabilities, its place on a map
heatmaps   matrices of classes, what teachers know
landscapes a score over two settings, all settings as lines
maps       spaces in the plane, how alike they are
pictures   images and spectrograms
trials     trials of tuned methods over a setting
teaching   votes, guesses, distances of a batch, a difference over the seeds

To add a figure, write a function of a frame of `kdlib.analysis.frames` and name it in `tests/test_figures.py`, which
holds all of them to the rules: labels are escaped (plotly reads `<b>` and `<a>` in any text), axes of live charts do
not move, nothing but the role decides a colour, every accuracy comes with its interval and its seeds.
"""
