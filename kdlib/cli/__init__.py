"""The command line: `kdlib COMMAND` or `python -m kdlib COMMAND`.

main          the parser, and the commands that compute here and now
data          import, data list, data delete
embed         embed
runs          launch, runs, watch, show, cancel, resume, rename, delete, undelete, engine
sweeps        sweep
rounds        looks; how often a comparison is repeated
benchmark     benchmark
widths        widths
report        report
export        export, import-student
store         store rebuild, store restore
record        record
tables        how results are printed
output        lines, tables and bars of background runs

To add a command, write `(arguments) -> exit code` in the group it belongs to and add it to the parser there.
"""
