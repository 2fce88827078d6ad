"""The command line: python -m faceedit edit photo.jpg "red hair" -o edited.png.

PyTorch is loaded only when a command needs it, so that --help answers at once. What a user can
mend is one line on stderr and exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from faceedit.commands.parser import build_parser
from faceedit.console import complain, prepare
from faceedit.errors import FaceEditError
from faceedit.regular_files import reason


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, or 2 for what the user can mend."""
    prepare()
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help()
        return 0
    arguments.is_command = argv is None
    try:
        return arguments.run(arguments)
    except FaceEditError as error:
        return complain(str(error))
    except OSError as error:
        return complain(reason(error))
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
