"""Makes `iris/rpc/iris_pb2.py` and its types anew from `iris.proto`; a test holds them current.

The generator is an old one on purpose (grpcio-tools 1.71): what it writes runs with every protobuf
from 5.29 on, so that Iris locks nobody out of the protobuf that their own work needs.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = "iris/rpc/iris.proto"
GENERATOR: Final = "1.71.2"
MADE: Final = ("iris/rpc/iris_pb2.py", "iris/rpc/iris_pb2.pyi")


def make(target: Path, python: str = sys.executable) -> None:
    """Write the generated files below a folder, with the generator that this Python has."""
    command = [python, "-m", "grpc_tools.protoc", "-I.", f"--python_out={target}"]
    subprocess.run([*command, f"--pyi_out={target}", SOURCE], cwd=ROOT, check=True)


if __name__ == "__main__":
    make(ROOT, *sys.argv[1:2])
