"""The report as HTML: a page for each drill, and an index of a run.

Laws of this folder:
- A page is one file: no script, style, font or picture from elsewhere. It reads in light and dark, and on a phone.
- Pure functions from what was judged to text. Every value is escaped where it is put in (``markup.py``), nowhere else.
"""

from drills.report_html.index import index
from drills.report_html.page import file_name, page

__all__ = ["file_name", "index", "page"]
