"""The search for interpreters finds those that run, the newest first, and names those it lacks.

Interpreters are played by scripts in a folder of their own; no suite is run here.
"""

import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pythons


class FindsInterpreters(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "on the path"
        self.path.mkdir()
        environment = mock.patch.dict(os.environ, {"PATH": str(self.path), "PYTHONS": ""})
        pyenv = mock.patch.object(pythons, "PYENV", self.folder / "versions")
        for patch in (environment, pyenv):
            patch.start()
            self.addCleanup(patch.stop)

    def interpreter(self, path: Path, *, works: bool = True) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + ("echo 3.12 made up\n" if works else "exit 1\n"))
        path.chmod(0o755)
        return str(path)

    def below_pyenv(self, version: str) -> str:
        return self.interpreter(self.folder / "versions" / version / "bin" / "python3.12")

    def test_the_supported_versions_are_those_of_the_project(self) -> None:
        self.assertEqual(pythons.supported(), ["3.11", "3.12", "3.13", "3.14", "3.15"])

    def test_one_on_the_path_is_taken_first(self) -> None:
        self.below_pyenv("3.12.1")
        python = self.interpreter(self.path / "python3.12")
        self.assertEqual(pythons.find(["3.12", "3.13"]), {"3.12": python})

    def test_a_shim_that_does_not_run_is_passed_over_for_the_newest(self) -> None:
        self.interpreter(self.path / "python3.12", works=False)
        self.below_pyenv("3.12.9")
        newest = self.below_pyenv("3.12.10")
        self.assertEqual(pythons.find(["3.12"]), {"3.12": newest})

    def test_one_without_the_gil_is_a_version_of_its_own(self) -> None:
        script = "#!/bin/sh\necho 3.15t made up\n"
        for name in ("python3.15", "python3.15t"):
            path = self.folder / "versions" / "3.15.0t" / "bin" / name
            self.interpreter(path)
            path.write_text(script)
        self.assertEqual(pythons.find(["3.15", "3.15t"]), {"3.15t": str(path)})

    def test_what_is_missing_is_named_with_where_it_was_sought(self) -> None:
        self.assertIn("no python3.15t on the PATH", pythons.missing("3.15t"))
        with mock.patch.dict(os.environ, {"PYTHONS": "python3.11"}):
            self.assertIn("no python3.15 in PYTHONS=", pythons.missing("3.15"))

    def test_the_smoke_set_is_there(self) -> None:
        for name in pythons.SMOKE:
            self.assertTrue((pythons.ROOT / name).is_file(), name)

    def test_those_that_are_named_are_taken_and_must_run(self) -> None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        with mock.patch.dict(os.environ, {"PYTHONS": sys.executable}):
            self.assertEqual(pythons.find(["3.12"]), {version: sys.executable})
        with (
            mock.patch.dict(os.environ, {"PYTHONS": "no-such-python"}),
            self.assertRaisesRegex(SystemExit, "no-such-python does not run"),
        ):
            pythons.find(["3.12"])


if __name__ == "__main__":
    unittest.main()
