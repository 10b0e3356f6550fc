"""Prints what `sam deploy` would take from each environment of a samconfig.toml, as the SAM CLI itself reads it."""

import json
import sys
from pathlib import Path

import tomlkit
from samcli.cli.context import Context
from samcli.commands.deploy.command import cli

NAMES = ["stack_name", "parameter_overrides", "tags", "capabilities", "confirm_changeset", "guided", "resolve_s3"]

config, template = (Path(argument).resolve() for argument in sys.argv[1:])
environments = {}
for name in tomlkit.parse(config.read_text()):
    if name == "version":
        continue
    arguments = ["--config-file", str(config), "--config-env", name, "--template-file", str(template)]
    context = cli.make_context("deploy", arguments)
    environments[name] = {member: context.params[member] for member in NAMES}
    # An option of every command, which the SAM CLI keeps apart.
    environments[name]["region"] = context.find_object(Context).region
print(json.dumps(environments))
