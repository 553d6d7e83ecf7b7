"""What there is to learn from.

datasets      built-in datasets and their registry `DATASETS`; to add one: a function and a line
sounds        notes of instrument families, made from numbers; spectrograms turns waves into pictures
texts         bags of n-grams
imported      what people imported, on disk
importing/    from a foreign file to a dataset
intake/       the gate that every foreign file passes
"""
