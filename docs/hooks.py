"""Hooks of MkDocs: add the pages that are kept outside of `docs/`, and read docstrings as this project writes them."""

import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = {f"results/{path.name}": path for path in sorted((ROOT / "benchmarks" / "results").glob("*.md"))}
"""The results of the benchmarks, by page."""


def on_config(config: Any) -> Any:
    """Add the results of the benchmarks to the navigation."""
    config.nav.append({"Results": list(RESULTS)})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the changelog, the contributors' guide and the results of the benchmarks."""
    pages = {f"{name}.md": ROOT / f"{name.upper()}.md" for name in ("changelog", "contributing")}
    for name, path in {**pages, **RESULTS}.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links that are valid in the repository to the pages of the site."""
    return markdown.replace("](../benchmarks/results/", "](results/").replace("](docs/", "](")


class Examples(griffe.Extension):
    """Render the section `Example` as code: griffe knows it by its plural only."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
