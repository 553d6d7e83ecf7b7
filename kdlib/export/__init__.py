"""What leaves the lab: a trained student as files that run anywhere, and reports.

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

report.py            a report of runs as one HTML page, a notebook or markdown: start here
report_blocks.py     what a report consists of, whatever its format
report_source.py     what a report is about: runs, results, spaces
report_background.py its sections on data, teachers, methods, reproduction, limits
report_findings.py   its sections on accuracies, differences, what was kept, maps, costs
report_html.py, report_markdown.py, report_notebook.py    a report in each format; templates/ for the page
"""

from kdlib.export.folder import Export, export_student

__all__ = ["Export", "export_student"]
