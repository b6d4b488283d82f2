"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spinlight
from spinlight.cli import main


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spinlight {spinlight.__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "spinlight", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"spinlight {spinlight.__version__}\n"


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells", "fit", "--help"]) == 0
    assert "spinlight cells fit --dataset pbmc68k_reduced --out runs/pbmc68k" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize("arguments", [["fly"], ["--fast"], ["cells", "fly"], ["cells", "fit"]])
def test_an_unknown_command_is_answered_by_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("spinlight: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--fast"], "No such option: --fast. Try: spinlight --help"),
        (["cells", "fit"], "Missing option '--out'. Try: spinlight cells fit --help"),
    ],
)
def test_a_wrong_call_names_the_help_of_its_own_command(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments)
    assert capsys.readouterr().err == f"spinlight: {hint}\n"


@pytest.mark.parametrize("arguments", [[], ["cells"]])
def test_a_command_without_a_verb_prints_its_help_and_nothing_else(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "Usage:" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["cells"], ["cells", "fit"]])
def test_help_has_a_short_name_too(command: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, option]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_a_question_is_followed_by_no_dot(capsys: pytest.CaptureFixture[str]) -> None:
    main(["cells", "fit", "--sead", "1"])
    assert "?. " not in capsys.readouterr().err


def test_an_interrupt_while_importing_is_one_line_and_status_130() -> None:
    code = (
        "import builtins, sys; from spinlight.cli import main; known = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'spinlight.cli.app': raise KeyboardInterrupt\n"
        "    return known(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "sys.exit(main(['cells']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "spinlight: interrupted\n")


def test_help_imports_no_application() -> None:
    code = (
        "import sys; from spinlight.cli import main; main(['cells', 'fit', '--help']);"
        "print([name for name in ('scvi', 'scanpy', 'anndata', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
