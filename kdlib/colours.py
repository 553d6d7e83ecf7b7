"""The colours of roles, spaces and classes: one meaning everywhere, told apart with every kind of colour blindness."""

# Okabe and Ito's palette, a little lighter for dark pages: several shades of one role, its own colour first.
SHADES = {
    "baseline": ("#8c8c8c", "#5f5f5f", "#b8b8b8"),
    "raw": ("#2b83ba", "#74add1", "#1d5f8a"),
    "compressed": ("#e08214", "#b35806", "#fdb863", "#8c510a", "#f6a04d", "#d9730d"),
    "student": ("#1b9e77", "#66c2a5", "#12694f"),
}
COLOURS = {role: shades[0] for role, shades in SHADES.items()}
# Of classes. Told apart also without red or green, on white and on black: Okabe & Ito 2008, Color universal design, and
# three more.
PALETTE = ("#0a7dc0", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a6761d", "#b0b700", "#7b6fd0", "#8a8f98")
