"""The networks: teachers, what compresses their embeddings, and students.

teachers      providers of embeddings, registry `TEACHERS`
compressors   from embedding to compact target, registry `COMPRESSORS`
students      the small networks, registry `STUDENTS`
pretraining   how the built-in teachers were made; weights/ holds what came of it
"""
