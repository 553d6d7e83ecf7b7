"""What came out: scores, spaces, comparisons, and how they are shown.

evaluation    scores and probes; intervals: one number per seed becomes a mean and its interval
geometry      spaces against spaces; projection: spaces drawn in the plane, registry `PROJECTIONS`
measure       what trained members are worth
comparison    several results side by side; papers: what the papers compare, as one table
frames        results as data frames; figures: data frames as plotly figures
"""
