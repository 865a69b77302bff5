"""`python -m jan_server.launch`: the server process without a terminal, as `jan up -d` starts it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jan_server.launch.detached import ALREADY_RUNNING_CODE, PORTS_BUSY_CODE
from jan_server.launch.plan import make_plan
from jan_server.launch.ports import PortsBusyError
from jan_server.launch.serve import serve
from jan_server.launch.state import AlreadyRunningError, Phase
from jan_server.settings.errors import SettingsError
from jan_server.settings.loading import load_settings
from jan_server.stack.catalogue import UnknownPartError
from jan_server.stack.selection import select


def main(arguments: list[str] | None = None) -> int:
    """Load the settings and serve; the exit code is 0 when the stack ran and was stopped in order.

    It is 3 when another server runs with the same home, 4 when ports are busy, and 1 when anything else is
    wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m jan_server.launch", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the folder that holds everything")
    parser.add_argument("--profile", action="append", default=[], help="a profile; may be repeated")
    parser.add_argument("services", nargs="*", help="start only these and what they need")
    given = parser.parse_args(arguments)
    home = given.home.absolute()
    try:
        loaded = load_settings(home, given.profile)
        parts = select(loaded.profiles, given.services)
        plan = make_plan(loaded.settings, parts, [profile.name for profile in loaded.profiles])
        last = serve(plan, loaded.settings, home)
    except AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return ALREADY_RUNNING_CODE
    except PortsBusyError as error:
        sys.stderr.write(f"{error}\n")
        return PORTS_BUSY_CODE
    except (SettingsError, UnknownPartError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 1 if last.phase is Phase.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
