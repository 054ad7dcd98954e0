#!/usr/bin/env python
"""Django's command line for QuantumEdge."""

import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")
    if sys.argv[1:2] == ["web"]:
        from quantumedge.lean import lighten  # noqa: PLC0415

        lighten()
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import DatabaseError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"quantumedge: {error}")
    except (DatabaseError, RedisError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"quantumedge: {str(error).strip()}; manage.py doctor says what to mend")


if __name__ == "__main__":
    main()
