"""The networks: teachers, what compresses their embeddings, and students.

teacher       what a teacher is
providers     where teachers come from: built in (registry `TEACHERS`), imported, networks of other people (`PROVIDERS`)
teachers      teachers by name
pooling       from frames to one embedding an item, registry `POOLINGS`
embedding     what they give for a dataset, in batches, cached; embedding_files writes it for other tools
quantization  in how many bits a number is written
branches      a trainable compressor with its heads and what else it learns from
compressors   from embedding to compact target, registry `COMPRESSORS`
separation    several teachers, each with a compressor of its own
projectors    from student features to the target's width, registry `PROJECTORS`
students      the small networks, registry `STUDENTS`
encoder       the network of the built-in teachers
pretraining   how the built-in teachers were made; weights/ holds what came of it
"""
