"""How networks are trained, whatever they are.

rows          lengths, similarities and distances of rows of features, finite whatever they are
losses        distances between student and target, registry `LOSSES`; to add one: a function and a line
pointwise_losses  those of them that compare entry by entry
label_losses  cross-entropy and soft labels
target_normalisers  how targets are rescaled before a distance, registry `TARGET_NORMALISERS`
augmentation  how a student's inputs vary from step to step, registry `AUGMENTATIONS`
streaming     inputs that are read from disk when they are needed
distances     of all members in one step, of several teachers the mean of theirs; member_distance: the usual one
prefixes      how many leading numbers of a target each member is taught
step_loss     the loss of one step, all members of all methods
member_layers layers of networks that run as one, where vmap's own are slow; member_chains: whole chains of them, in C
population    many networks of one architecture as one
gradients     whether labels and teacher pull a student the same way
stepper       one optimizer step after another, who learns from it, what a batch comes to
pairs         the two matrices of pairs of rows that a distance compares, for looking at
loop          the training loop: all members of all methods in the same step
state         what changes while training, and its checkpoint
shards        the members of a training shared out among processes
search        which settings to try next, and which trials to stop early
rungs         a population of trials from which the worse ones leave
replay        where some rows lie while spaces form
optimizer     AdamW; devices: where to compute
"""
