"""How networks are trained, whatever they are.

losses        distances between student and target, registry `LOSSES`; to add one: a function and a line
population    many networks of one architecture as one
loop          the training loop: all members of all methods in the same step
replay        where some rows lie while spaces form
optimizer     AdamW; devices: where to compute
"""
