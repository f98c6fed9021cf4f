"""Reads objects of the Prometheus operator (JSON files) and fails where one has a field that its kind does not know."""

import json
import sys

from cloudcoil.models.prometheus_operator import v1

for path in sys.argv[1:]:
    with open(path) as file:
        given = json.load(file)
    # What a kind does not know it passes over, so what comes back is compared.
    known = getattr(v1, given["kind"]).model_validate(given)
    kept = known.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if kept != given:
        sys.exit(f"{path}: not all of it is understood:\n{json.dumps(given)}\n{json.dumps(kept)}")
