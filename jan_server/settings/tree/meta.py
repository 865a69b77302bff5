"""The settings of the configuration itself."""

from __future__ import annotations

from jan_server.settings.tree.fields import Section, TextList, setting


class Meta(Section):
    """The configuration itself."""

    version: str = setting("1.0.0", "Version of the configuration's form.", "CONFIG_VERSION", min_length=1)
    environment: str = setting(
        "development",
        "What this installation is for; it labels traces, and `production` makes the checks stricter.",
        "ENVIRONMENT",
        min_length=1,
    )
    profiles: TextList = setting(
        ("local",), "Profiles to start with when no --profile is given.", "JAN_PROFILES", min_length=1
    )
