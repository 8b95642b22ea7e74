"""The rule that a proof cannot be skipped in CI."""

from __future__ import annotations

import pytest

from tests.support.no_skips import is_guarded


@pytest.mark.parametrize(
    ("nodeid", "environ", "expected"),
    [
        ("tests/attack/test_x.py::test_y", {"CI": "true"}, True),
        ("tests/clients/test_x.py::test_y", {"CI": "1"}, True),
        ("tests/attack/test_x.py::test_y", {}, False),
        ("tests/process/test_x.py::test_y", {"CI": "true"}, False),
    ],
)
def test_guarded_folders(nodeid: str, environ: dict[str, str], expected: bool) -> None:
    """Attack and client tests are guarded in CI, and only there."""
    assert is_guarded(nodeid, environ) is expected


def test_a_guarded_skip_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI=true a skipped attack test ends as a failure that names its reason."""
    monkeypatch.setenv("CI", "true")
    folder = pytester.mkdir("tests") / "attack"
    folder.mkdir()
    (folder / "test_one.py").write_text("import pytest\ndef test_a():\n    pytest.skip('no peer')\n")
    result = pytester.runpytest("-p", "tests.support.no_skips", "-p", "no:cacheprovider", "tests/attack/test_one.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must run: *no peer*"])
