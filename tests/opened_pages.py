"""Pages of the app as a visitor sees them, without a browser; for tests that use the fixture `app_home`."""

import ast
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parent.parent / "app.py"
LIST = next(
    node for node in ast.parse(APP.read_text()).body if isinstance(node, ast.Assign) and node.targets[0].id == "PAGES"
)
PAGES = list(ast.literal_eval(LIST.value))


def opened(page: str, /, **query: str | list[str]) -> AppTest:
    """Return a page as a visitor sees it who opens its address."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    if page != PAGES[0]:
        app.run().switch_page(f"pages/{page}.py")
    app.query_params.update(query)
    return app.run()


def texts(app: AppTest) -> str:
    """Return what the page says, all of it."""
    parts = [*app.markdown, *app.text, *app.error, *app.info, *app.warning, *app.caption, *app.title, *app.subheader]
    return "\n".join(str(part.value) for part in parts)


def sent_to_maps(app: AppTest) -> dict[str, Any]:
    """Return what the first maps of a page were sent, but for their tables."""
    return next(json.loads(each.proto.mixed.json) for each in app.get("bidi_component") if "kd_maps" in str(each.proto))


def listed_runs(app: AppTest) -> dict[str, Any]:
    """Return what the list of runs on a page was sent: "runs", newest first, and the ids of the "chosen" ones."""
    sent = [each.proto.json for each in app.get("bidi_component") if each.proto.component_name.endswith("kd_run_list")]
    return json.loads(sent[0]) if sent else {"runs": [], "chosen": []}


def tables(app: AppTest) -> list[pd.DataFrame]:
    """Return the tables of a page: grids, then those of text."""
    small = [part.proto.body for part in app.get("html") if part.proto.body.startswith('<div class="kd-table"')]
    return [part.value for part in app.dataframe] + [parsed_table(html) for html in small]


def parsed_table(html: str) -> pd.DataFrame:
    """Return a table of text as it can be read; a curve is what is said of it."""

    def words(cell: ElementTree.Element) -> str:
        return cell[0].get("aria-label", "") if cell[0].tag == "i" else "".join(cell.itertext())

    table = ElementTree.fromstring(html)
    head = ["".join(cell.itertext()) for cell in table.findall(".//thead//th")]
    return pd.DataFrame([[words(cell) for cell in row] for row in table.findall(".//tbody/tr")], columns=head)
