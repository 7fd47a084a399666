"""`auditor --install-completion`: the shell then completes commands and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "auditor"


def shell(home: Path, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user with this home does from a bash, which is how the program tells what shell it is for."""
    environment = {
        "HOME": str(home), "SHELL": "/bin/bash", "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}", **more,
    }  # fmt: skip
    typed = (shutil.which("bash") or pytest.skip("no bash"), "-c", '"$0" "$@"; exit $?', *command)
    return subprocess.run(typed, env=environment, cwd=home, capture_output=True, text=True, check=False)


@pytest.fixture
def bash() -> str:
    """A bash, and the console script it completes."""
    found = shutil.which("bash")
    if found is None or not PROGRAM.exists():
        pytest.skip("no bash, or the console script is not installed beside this Python")
    return found


def test_completion_is_installed_for_bash(tmp_path, bash):
    """It writes what a new shell sources, and that shell completes a command and an option of a command."""
    (tmp_path / ".bashrc").write_text("")
    installed = shell(tmp_path, PROGRAM, "--install-completion", "bash")
    assert installed.returncode == 0, installed.stderr
    (sourced,) = (line for line in (tmp_path / ".bashrc").read_text().splitlines() if "source" in line)
    script = f"""
    {sourced}
    completion=$(complete -p auditor); function=${{completion#* -F }}; function=${{function%% *}}
    COMP_WORDS=(auditor ex); COMP_CWORD=1; $function auditor ex auditor; echo "${{COMPREPLY[@]}}"
    COMP_WORDS=(auditor scan --man); COMP_CWORD=2; $function auditor --man scan; echo "${{COMPREPLY[@]}}"
    """
    done = shell(tmp_path, bash, "--norc", "-c", script)
    assert done.stdout.split() == ["explain", "--management-group-id"], done.stderr


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "powershell"])
def test_completion_is_shown_for_each_shell(tmp_path, name):
    """What would be installed can be read before."""
    shown = shell(
        tmp_path,
        sys.executable,
        "-m",
        "auditor",
        "--show-completion",
        name,
        PYTHONPATH=str(Path(__file__).parent.parent),
    )
    assert shown.returncode == 0, shown.stderr
    assert "auditor" in shown.stdout or "_AUDITOR_COMPLETE" in shown.stdout.upper()
