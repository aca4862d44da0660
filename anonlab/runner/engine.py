"""Papermill's engine, watched: a module of its own, because papermill is slow to import."""

from __future__ import annotations

from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

from .progress import Progress

ENGINE = "anonlab"  # by this name papermill finds it


class WatchedEngine(NBClientEngine):
    """Papermill's own engine, which also tells `progress` how many code cells are done."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, progress: Progress, **options: object
    ) -> None:
        """As the engine of papermill has it; `progress` is given to `papermill.execute_notebook`."""
        code = {
            index
            for index, cell in enumerate(nb_man.nb.cells)
            if cell.cell_type == "code" and cell.source.strip()
        }
        finished: set[int] = set()
        complete = nb_man.cell_complete

        def counted(cell: object, cell_index: int | None = None, **more: object) -> None:
            complete(cell, cell_index, **more)
            finished.update({cell_index} & code)
            progress.cells(len(finished), len(code))

        nb_man.cell_complete = counted
        progress.cells(0, len(code))
        super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(ENGINE, WatchedEngine)
