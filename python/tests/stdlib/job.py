"""Runs the tests of one class, in the interpreter that is tested.

    python job.py MODULE                       list the classes and their tests
    python job.py MODULE CLASS EVENTS TEST...  run these tests, and note in the file EVENTS what happens

What always holds: each event is one line, `["begin", test]` or `["end", test, outcome, detail]`, and is in the
file before anything else happens.
"""

import importlib
import json
import sys
import traceback
import unittest


class Noting(unittest.TestResult):
    """Notes each outcome in a file."""

    def __init__(self, path):
        """Append to the file at `path`."""
        super().__init__()
        self._path = path
        self._outcome = None

    def _note(self, *event):
        with open(self._path, "a", encoding="utf-8") as events:
            events.write(json.dumps(event) + "\n")

    def _end(self, test, outcome, detail=""):
        if isinstance(test, unittest.TestCase):
            self._outcome = self._outcome or (outcome, detail)
        else:  # What sets a module or a class up.
            self._note("end", "", outcome, detail)

    def startTest(self, test):
        super().startTest(test)
        self._outcome = None
        self._note("begin", test._testMethodName)

    def stopTest(self, test):
        super().stopTest(test)
        self._note("end", test._testMethodName, *(self._outcome or ("ok", "")))

    def addError(self, test, err):
        self._end(test, "error", _last_line(err))

    def addFailure(self, test, err):
        self._end(test, "failure", _last_line(err))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._end(test, "failure", _last_line(err))

    def addSkip(self, test, reason):
        self._end(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):
        self._end(test, "failure", "unexpected success")


def _last_line(err):
    return traceback.format_exception_only(*err[:2])[-1].strip()[:300]


def classes(module):
    """All tests of a module, by their class."""
    loader = unittest.TestLoader()
    found = {}
    for name, value in sorted(vars(module).items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            names = loader.getTestCaseNames(value)
            if names and value.__module__ == module.__name__:
                found[name] = list(names)
    return found


def main():
    module = importlib.import_module(sys.argv[1])
    if len(sys.argv) == 2:
        print(json.dumps(classes(module)))
        return
    case = getattr(module, sys.argv[2])
    unittest.TestSuite(case(name) for name in sys.argv[4:]).run(Noting(sys.argv[3]))


if __name__ == "__main__":
    main()
