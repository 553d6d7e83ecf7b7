"""The app: `streamlit run app.py` (or `make app`). The page list and what the server says to a browser."""

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parent / "assets"
PAGES = {  # script -> title, icon; the first one opens
    "start": ("Start", ":material/flag:"),
    "lessons": ("Lessons", ":material/menu_book:"),
    "data_teachers": ("Data & teachers", ":material/school:"),
    "distill": ("Distill", ":material/science:"),
    "embeddings": ("Embeddings", ":material/scatter_plot:"),
    "dial": ("Dial", ":material/tune:"),
    "compare": ("Compare", ":material/bar_chart:"),
    "try_it": ("Try it", ":material/draw:"),
    "runs": ("Runs", ":material/list_alt:"),
}

if __name__ == "__main__":  # a person's visit: this file runs anew on every click
    st.set_page_config(page_title="KD Lab", page_icon=str(ASSETS / "logo.svg"), layout="wide")
    st.logo(ASSETS / "logo.svg", size="large")
    pages = [
        st.Page(f"pages/{script}.py", title=title, icon=icon, default=number == 0)
        for number, (script, (title, icon)) in enumerate(PAGES.items())
    ]
    page = st.navigation(pages, position="top")
    with st.spinner("Getting ready"):  # the first visit waits for libraries
        from pages import address, server
        from pages.text import show_errors
    with show_errors():
        address.name_window(page.title)
        page.run()
    server.usable.set()
else:  # the server imports it once
    from streamlit.starlette import App

    from pages import server

    app = App(__file__, lifespan=server.lifespan, middleware=server.MIDDLEWARE, routes=server.ROUTES)
