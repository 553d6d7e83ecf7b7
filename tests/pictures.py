"""Pictures of every page for docs/pictures: `make pictures`, or `python -m tests.pictures`.

Small real runs are trained in a data folder of their own, then a browser opens each page on them, wide and narrow,
light and dark. Motion is off, so that each picture shows where a page comes to rest.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests import sample_home
from tests.browser.conftest import CHROMIUM, Server

FOLDER = sample_home.ROOT / "docs" / "pictures"
SIZES = {1440: (900, 2400, 1.0), 390: (844, 6000, 1.25)}  # width -> height at least and at most, pixels per CSS pixel
SCHEMES = ("light", "dark")
MOST = 4_000_000  # bytes of all pictures together
COMPUTED = ("embeddings", "data_teachers", "dial")  # pages that show what the engine computes at the first visit
CONTENT = """() => {
  const last = document.querySelector('[data-testid="stMainBlockContainer"]');
  return Math.ceil(last.getBoundingClientRect().bottom + document.querySelector('[data-testid="stMain"]').scrollTop);
}"""


def picture_name(page: str, width: int, scheme: str) -> str:
    """Return the file of a picture."""
    return f"{page.replace(' ', '-')}-{width}-{scheme}.webp"


def save(page: Page, path: Path) -> None:
    """Write what a page shows."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").save(path, "WEBP", quality=78, method=6)


def photograph(browser: Browser, name: str, address: str, folder: Path) -> list[str]:
    """Take the pictures of one page; return what its console said."""
    said: list[str] = []
    for width, (least, most, scale) in SIZES.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": least}, device_scale_factor=scale, reduced_motion="reduce",
                color_scheme=scheme,
            )  # fmt: skip
            page = context.new_page()
            page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(address)
            sample_home.settle(page)
            for _ in range(2):  # maps grow with the window, and the page with them
                page.set_viewport_size({"width": width, "height": min(max(page.evaluate(CONTENT), least), most)})
                sample_home.settle(page)
            save(page, folder / picture_name(name, width, scheme))
            context.close()
    return said


def take_all(url: str, ids: Mapping[str, str], folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Take the pictures of all pages, or of some; return their names.

    Args:
        url: of the app.
        ids: of the finished runs in its data folder, per method.
        folder: that takes the pictures.
        names: of `sample_home.addresses`; all where there are none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    addresses = sample_home.addresses(ids)
    del addresses["start race"]  # trained before it was stored, it says that it took no time
    del addresses["distill"]  # part of "distill runs"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        first = [browser.new_page() for _ in COMPUTED]
        for page, name in zip(first, COMPUTED, strict=True):
            page.goto(url + addresses[name])
        for page in first:
            sample_home.settle(page)
            sample_home.settle(page, limit=40, busy=f'{sample_home.LOADING}, [data-testid="stProgress"]')
            page.close()
        for name in names or addresses:
            said = photograph(browser, name, url + addresses[name], folder)
            print(name, *dict.fromkeys(said))
        browser.close()
    return list(names or addresses)


def write_list(folder: Path, names: Sequence[str]) -> None:
    """Write the page that shows all pictures."""
    lines = ["# Pictures", "", "Every page of the app on small real runs, taken by `make pictures`.", ""]
    for name in names:
        title = name.capitalize().replace("_", " ")
        lines += [f"## {title}", ""]
        for width in SIZES:
            share = 49 if width > 1000 else 24
            for scheme in SCHEMES:
                alt = f"{title}, {width} pixels wide, {scheme}"
                lines += [f'<img src="{picture_name(name, width, scheme)}" alt="{alt}" width="{share}%">']
        lines += [""]
    (folder / "README.md").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


def main() -> None:
    """Replace the folder of pictures."""
    with tempfile.TemporaryDirectory(prefix="kdlib-pictures-") as home:
        server = Server(Path(home) / "home", hostile=False)
        try:
            ids = sample_home.fill("full", server.env)
            made = Path(home) / "pictures"
            names = take_all(server.url, ids, made)
        finally:
            server.stop()
        write_list(made, names)
        size = sum(path.stat().st_size for path in made.iterdir())
        if size > MOST:
            sys.exit(f"the pictures are {size / 1e6:.1f} MB, more than {MOST / 1e6:.0f} MB")
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(made, FOLDER)
    print(f"{len(list(FOLDER.glob('*.webp')))} pictures, {size / 1e6:.1f} MB, in {FOLDER}")


if __name__ == "__main__":
    main()
