"""Networks of other people whose weights come inside Python packages, each in a definition of our own.

A module has `load(weights: Path) -> EmbedRows` and says how items are prepared. None of them imports the package: only
the file of weights is read.

crepe         pitch of music and voices
speaker       who speaks
basic_pitch   notes of music
efficientnet  what is on a photograph
ocr           text on a photograph
wordllama     what a text is about
sessions      runs those that are ONNX files
"""
