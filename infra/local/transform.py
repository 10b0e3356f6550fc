"""Writes a SAM template as CloudFormation gets it, so that a linter sees the resources that SAM makes.

The programs are not uploaded for that: each function's code is given a place in a bucket that there need not be.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template's roles have policies of their own, so none of AWS's is looked up."""

    def load(self):
        return {}


def main(source, target):
    with open(source, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://programs/function.zip"
    with open(target, "w", encoding="utf-8") as file:
        json.dump(transform(template, {}, NoManagedPolicies()), file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
