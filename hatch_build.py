"""What hatchling asks before it makes a wheel: whether the page is there."""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = ("src/scenelift/webapp/static/index.html", "src/scenelift/webapp/viewer.html")


class PageHook(BuildHookInterface[Any]):
    """Refuses a wheel without the page; `pip install -e .` needs none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        missing = [name for name in PAGE if not (Path(self.root) / name).is_file()]
        if version == "editable" or not missing or os.environ.get("SCENELIFT_WITHOUT_PAGE") == "1":
            return
        raise RuntimeError(
            f"The page was not built: {', '.join(missing)} missing. Run `make page` first, or set "
            "SCENELIFT_WITHOUT_PAGE=1 for a package whose web app has a REST interface only."
        )
