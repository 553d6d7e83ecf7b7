"""The command line: `kdlib COMMAND` or `python -m kdlib COMMAND`.

main          the parser, and the commands that compute here and now
data          import, data list, data delete
runs          launch, runs, watch, show, cancel, resume, sweep, engine
tables        how answers are printed

To add a command, write `(arguments) -> exit code` in the group it belongs to and add it to the parser there.
"""
