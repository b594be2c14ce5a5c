"""Print the JSON Schema of `edits.json`: python -m scenelift.edit > docs/edits.schema.json"""

import json
import sys

from scenelift.edit.document import Edits

json.dump(Edits.model_json_schema(), sys.stdout, indent=2)
sys.stdout.write("\n")
