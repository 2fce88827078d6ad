"""An editor as a repo: a folder that `from_pretrained` reads, on this machine or on the Hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from faceedit import arguments, hub
from faceedit.library import Library
from faceedit.method_repo import push_repo


class Sharing:
    """What an editor can do with its method beside editing: write it to a folder, or send it."""

    library: Library

    def save_pretrained(self, folder: str | Path, *, save_base: bool = False) -> None:
        """Write the editor's method as a repo's folder, which `from_pretrained` reads.

        Args:
            folder: Where; made if absent. A README.md that is there stays.
            save_base: Also copy the base next to it, so that both work on a machine with neither.

        Raises:
            RepoError: If the networks came from no folder, so that nothing can name them.
        """
        folder = arguments.folder(folder, "folder")
        self.library.save(folder)
        base = self.library.base_folder
        if save_base and base is not None:
            neighbour = folder.resolve().parent / hub.name_of(base).split("/")[1]
            if neighbour != base.resolve():
                shutil.copytree(base, neighbour, dirs_exist_ok=True)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload with faceedit",
    ) -> str:
        """Send the editor's method to the Hub and return the repo's address.

        The base is not sent: the repo names it, as `save_pretrained` does. A card that the repo
        has already is not overwritten.

        Args:
            repo_id: "your-name/my-edits"; made if there is none.
            private: Whether a new repo is private; None is the owner's habit.
            token: If not logged in.
            revision: The branch; made if there is none.
            create_pr: Propose a pull request instead of changing the branch.
            commit_message: The commit's first line.

        Raises:
            RepoError: If the networks came from no folder, or the Hub does not take it.
        """
        return push_repo(
            repo_id,
            self.library.save,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
