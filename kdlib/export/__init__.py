"""Taking it away: what leaves the lab as a file.

report            a report of runs as one HTML page, a notebook or markdown: start here
report_blocks     what a report consists of, whatever its format
report_source     what a report is about: runs, results, spaces
report_background its sections on data, teachers, methods, reproduction, limits
report_findings   its sections on accuracies, differences, what was kept, maps, costs
report_html, report_markdown, report_notebook    a report in each format; templates/ for the page
"""
