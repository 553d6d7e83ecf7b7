"""What all figures share: colours by role, labels that are shown literally, the empty figure, a figure as a page."""

import html
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

# Okabe and Ito's palette, a little lighter for dark pages: distinct with every kind of colour blindness.
SHADES = {  # several of one role: its own colour first
    "baseline": ("#8c8c8c", "#5f5f5f", "#b8b8b8"),
    "raw": ("#2b83ba", "#74add1", "#1d5f8a"),
    "compressed": ("#e08214", "#b35806", "#fdb863", "#8c510a", "#f6a04d", "#d9730d"),
    "student": ("#1b9e77", "#66c2a5", "#12694f"),
}
COLOURS = {role: shades[0] for role, shades in SHADES.items()}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
WHISKER = "#6b6b6b"  # visible on bars, on white and on black
GRID = "rgba(128,128,128,0.25)"

LabelStyle = tuple[str, str, str]  # colour, dash, mark
Figure = go.Figure  # for modules that say what they return and import no plotly


def escape(text: object) -> str:
    """Return text as plotly shows it literally.

    Example:
        >>> escape("<b>run</b>")
        '&lt;b&gt;run&lt;/b&gt;'
    """
    return html.escape(str(text), quote=False)


def label_roles(frame: pd.DataFrame) -> dict[str, str]:
    """Return label -> role of a frame with these columns."""
    return dict(zip(frame["label"], frame["role"], strict=True))


def label_styles(roles: Mapping[str, str]) -> dict[str, LabelStyle]:
    """Return the style of each label: the role decides the colour, several of one role differ in shade, dash and mark.

    Args:
        roles: label -> a key of `SHADES`.
    """
    styles, counts = {}, dict.fromkeys(COLOURS, 0)
    for label, role in roles.items():
        number = counts[role]
        counts[role] += 1
        shades = SHADES[role]
        styles[label] = (shades[number % len(shades)], DASHES[number % len(DASHES)], MARKS[number % len(MARKS)])
    return styles


def new_figure(x: str, y: str, height: int = 340) -> go.Figure:
    """Return an empty figure without a background of its own.

    Args:
        x: title of the horizontal axis.
        y: title of the vertical axis.
        height: in pixels.
    """
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 12, "t": 36, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="closest",
        uirevision="keep",  # zoom and hidden lines stay when new points come
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        barcornerradius=3,
    )
    axis = {"gridcolor": GRID, "zeroline": False, "fixedrange": False}
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    return figure


def fade(colour: str, alpha: float) -> str:
    """Return a colour "#rrggbb" with an opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def to_html(figure: go.Figure) -> str:
    """Return a figure as a page of its own that loads nothing from another host."""
    page = go.Figure(figure).update_layout(paper_bgcolor="white", template="plotly_white")
    return page.to_html(include_plotlyjs=True, include_mathjax=False)


def to_data(figure: go.Figure) -> str:
    """Return a figure as JSON, for a page that holds `library_script`; it takes its colours of text from the page."""
    return go.Figure(figure).update_layout(template="none").to_json() or ""


def library_script() -> str:
    """Return plotly's own script, 4.8 MB, as it stands between `<script>` and `</script>`."""
    return get_plotlyjs()
