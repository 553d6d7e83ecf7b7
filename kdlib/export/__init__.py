"""What leaves the lab: a trained student as files that run anywhere.

Everything heavy is imported inside functions, so that a page or a command that offers an export begins at once.

source.py      which students of a run, with what is known of them
inputs.py      what an exported student takes
graph.py       students as one ONNX graph
checking.py    whether that does what the students did
compressor.py  the compressor as another
quantize.py    a graph in 8 bits
measuring.py   what they cost and how good they are
card.py        README.md, which says so
folder.py      everything that an export holds
jobs.py        exports made by the engine, for pages
intake.py      an export that comes back, read in a child process
returning.py   and made into a run
shipped/       files that go into every export as they are
"""

from kdlib.export.folder import Export, export_student

__all__ = ["Export", "export_student"]
