"""Pages of the app as a visitor sees them, without a browser; for tests that use the fixture `app_home`."""

import ast
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parent.parent / "app.py"
LIST = next(
    node for node in ast.parse(APP.read_text()).body if isinstance(node, ast.Assign) and node.targets[0].id == "PAGES"
)
PAGES = list(ast.literal_eval(LIST.value))


def opened(page: str, **query: str) -> AppTest:
    """Return a page as a visitor sees it who opens its address."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    if page != PAGES[0]:
        app.switch_page(f"pages/{page}.py")
    app.query_params.update(query)
    return app.run()


def texts(app: AppTest) -> str:
    """Return what the page says, all of it."""
    parts = [*app.markdown, *app.text, *app.error, *app.info, *app.warning, *app.caption, *app.title, *app.subheader]
    return "\n".join(str(part.value) for part in parts)
