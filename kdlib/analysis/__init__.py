"""What came out: scores, spaces, comparisons, and how they are shown.

estimates      what can be told while something trains, in milliseconds
intervals      one number per seed becomes a mean and its interval
merging        several results of one method as one; subsets: runs that differ in their labelled rows only
significance   which of many differences are clear, how large they are for their spread, how many seeds would settle it
evaluation     scores of predictions; class_scores: class by class
linear_probe   how well a linear classifier reads a space; logistic: logistic regressions of many spaces at once
calibration    whether probabilities hold
geometry       spaces against spaces; neighbours: which rows are near one another
retrieval      what the nearest rows say; width_precision: what an embedding is worth in fewer numbers and bits
projection     spaces as maps in the plane, registry `PROJECTIONS`
costs          what a student takes at inference
probes         what spaces still know of the target and of each attribute; split_scores: scores on every split
grid           which setting of a grid counts, by validation alone
measure        all of these for trained members
teacher_probes what is known of a teacher, as numbers, and the reports that ship; teacher_report: finding it out
failure        why that, or a map, cannot be said
comparison     several results side by side; papers: what the papers compare, as one table
rounds         what is trained step by step, on other labelled rows and with later seeds, as one result
tuned          what tuned methods chose, and every trial behind it
benchmarks     losses x methods, ranked
verdicts       what a comparison says in words
diagnosis      why it did (not) help, in words with the numbers, and the one change to try next
frames         results as data frames for charts; result_tables: as tables, CSV and LaTeX
landscape      what many runs, and the settings of their grids, came to over the fields in which they differ
items          items of a dataset as pictures and in words
figures/       data frames as plotly figures
"""
