"""Translate the page's template: `python builder/report/templates/build.py`, as the setup of the project does."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
    from builder.report.page import translate

    translate()
