"""Runs first in every Python that ``wsfast run`` starts, and in those that these start.

Old syntax: a Python 2.7 or 3.6 among them shall not notice. The sitecustomize that would have run
without this one, the next on the path, runs from here; what it raises, and the ImportError where
there is none, goes on to site.py as ever.
"""

import os
import sys

NO = ("", "0", "no", "off", "false")
here = os.path.dirname(os.path.abspath(__file__))
itself = sys.modules.pop(__name__)  # kept: Python 2 would empty it while it runs
sys.path[:] = [entry for entry in sys.path if entry != here]
wishes = os.environ.get("WSFAST_RUN", "").split(",")
is_first = "first" in wishes
if is_first:  # of those started, so the one that speaks where wsfast is missing
    wishes.remove("first")
    os.environ["WSFAST_RUN"] = ",".join(wishes)
if "alone" in wishes:
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != here]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    if not path:
        del os.environ["PYTHONPATH"]
    del os.environ["WSFAST_RUN"]

try:
    import sitecustomize  # type: ignore  # noqa: F401
finally:
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here in entries[1:]:  # theirs went in front, and may not run the next in the children
        entries = [here] + [entry for entry in entries if entry != here]
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    if os.environ.get("WSFAST", "").strip().lower() not in NO[1:]:
        try:
            if sys.version_info < (3, 11):
                too_old = ImportError("it needs Python 3.11 or newer")
                too_old.name = "wsfast"
                raise too_old
            from wsfast.integrations import switch_on

            switch_on(policy="strict" if "strict" in wishes else "host", cork="cork" in wishes)
        except Exception as exc:
            # A Python without wsfast that a server happens to start is none of its operator's
            # business; anything else is.
            if is_first or getattr(exc, "name", "") != "wsfast":
                sys.stderr.write(
                    "wsfast run: not active in %s: %s: %s\n"
                    % (sys.executable, type(exc).__name__, exc)
                )
                if os.environ.get("WSFAST_REQUIRE", "").strip().lower() not in NO:
                    sys.stderr.flush()
                    os._exit(3)  # what is raised here, site.py passes over
