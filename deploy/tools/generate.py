"""Generate Python code from `protos/` into `libs/contracts/src`; run by `make generate`, the result is never committed.

The rules of `buf/validate/validate.proto` come from the descriptor that the protovalidate package ships, so the
repository vendors no third-party proto. Both that descriptor and an image of our own protos (for `buf lint` and
`buf breaking`) go to `build/`.
"""

import argparse
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parents[2]
VALIDATE_PROTO = "buf/validate/validate.proto"


def write_imports(path: Path) -> None:
    """Write the descriptors our protos import that no include folder holds."""
    imports = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        imports.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    imports.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    path.write_bytes(imports.SerializeToString())


def run_protoc(arguments: list[str]) -> None:
    status = protoc.main(["protoc", *arguments])
    if status != 0:
        sys.exit(status)


def write_image(protos: Path, imports: Path, image: Path) -> None:
    """Write a self-contained image with comments, the input of buf."""
    names = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    run_protoc(
        [
            f"--descriptor_set_in={imports}",
            f"-I{protos}",
            f"-I{files(grpc_tools) / '_proto'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *names,
        ]
    )


def write_python(protos: Path, imports: Path, target: Path) -> None:
    """Replace the generated tree with fresh code and type stubs."""
    fresh = target.with_name("src.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    names = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    services = [name for name in names if name.endswith("_service.proto")]
    plugin = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    common = [f"--descriptor_set_in={imports}", f"-I{protos}", f"-I{files(grpc_tools) / '_proto'}"]
    run_protoc([*common, f"--python_out={fresh}", f"--pyi_out={fresh}", VALIDATE_PROTO, *names])
    run_protoc(
        [
            *common,
            f"--plugin=protoc-gen-mypy_grpc={plugin}",
            f"--grpc_python_out={fresh}",
            f"--mypy_grpc_out=quiet:{fresh}",
            *services,
        ]
    )
    for folder in [path for path in fresh.rglob("*") if path.is_dir()]:
        (folder / "py.typed").touch()
    target.mkdir(parents=True, exist_ok=True)
    for name in ("atelier", "buf"):
        shutil.rmtree(target / name, ignore_errors=True)
        (fresh / name).rename(target / name)
    shutil.rmtree(fresh)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protos", type=Path, default=ROOT / "protos")
    parser.add_argument("--image-only", type=Path, help="write only the image for buf, to this file")
    arguments = parser.parse_args()
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    imports = build / "imports.binpb"
    write_imports(imports)
    if arguments.image_only:
        write_image(arguments.protos, imports, arguments.image_only)
        return
    write_image(arguments.protos, imports, build / "protos.binpb")
    write_python(arguments.protos, imports, ROOT / "libs" / "contracts" / "src")


if __name__ == "__main__":
    main()
