"""Imports point one way, and no module keeps state."""

import ast
import functools
from pathlib import Path
from typing import Final

from sidecar.sources import listing

PACKAGE: Final = Path(__file__).parents[1] / "sidecar"
SOURCES: Final = {source.__module__ for source in listing.SOURCES}
LAYERS: Final = [
    {"runtime", "errors"},
    {"models"},
    {"sources"},
    {"metrics", "config", "client"},
    {"upstreams", "pricing", "runtime.logs"},
    {"cache"},
    {"refresh"},
    {"snapshot"},
    {"service.wiring"},
    {"fleet"},
    {"service"},
    {"web", "top"},
    {"app", "arguments"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. A module imports from its own package and from the layers below, and from nowhere else."""


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return what each module of the package says, by the module's name."""
    root = PACKAGE.parent
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))
    }
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for name, path in paths.items()}


def imported(name: str, *, lazily: bool = True) -> set[str]:
    """Return the modules of ours that a module imports, at its top or anywhere."""
    tree = trees()[name]
    nodes = list(ast.walk(tree)) if lazily else tree.body
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    members = {f"{node.module}.{alias.name}" for node in froms for alias in node.names} & set(trees())
    return {one for one in plain | {str(node.module) for node in froms} | members if one.startswith("sidecar.")}


def package(name: str) -> str:
    return name.split(".")[1]


def layer(name: str) -> int:
    """Return the level of the module itself where it is listed, else of its package."""
    module = ".".join(name.split(".")[1:3])
    listed = (level for level, packages in enumerate(LAYERS) if module in packages)
    return next(listed, next(level for level, packages in enumerate(LAYERS) if package(name) in packages))


def test_the_test_sees_the_imports() -> None:
    assert set(trees()) >= SOURCES
    assert {"sidecar.service.service", "sidecar.web.middleware"} <= imported("sidecar.web.api")
    assert "sidecar.demo" in imported("sidecar.cli") - imported("sidecar.cli", lazily=False)


def test_sources_do_not_import_each_other() -> None:
    for name in SOURCES:
        assert not imported(name) & SOURCES, name


def test_every_import_points_down_or_stays_in_its_package() -> None:
    for name in trees().keys() - {"sidecar"}:
        if package(name) != "demo":
            others = {one for one in imported(name) if package(one) not in {package(name), "demo"}}
            assert all(layer(one) < layer(name) for one in others), f"{name} imports {others}"


def test_the_simulated_market_is_only_imported_by_the_command_and_only_when_it_is_asked_for() -> None:
    for name in trees():
        if not name.startswith("sidecar.demo"):
            wrong = {one for one in imported(name, lazily=name != "sidecar.cli") if one.startswith("sidecar.demo")}
            assert not wrong, name


def test_no_module_keeps_state_but_the_one_service_of_the_embedding_api() -> None:
    rebound = {
        (name, variable)
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
        for variable in node.names
    }
    assert rebound == {("sidecar.service.embedding", "_service")}
    for name, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and not _is_exported_names(node):
                assert not _is_mutable(node), f"{name}:{node.lineno}"


def test_a_fleet_is_only_imported_by_itself_and_when_there_is_one() -> None:
    for name in trees():
        if not name.startswith("sidecar.fleet"):
            imports = imported(name, lazily=name != "sidecar.service.run")
            assert not {one for one in imports if one.startswith("sidecar.fleet")}, name


def _is_exported_names(node: ast.Assign | ast.AnnAssign) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _is_mutable(node: ast.Assign | ast.AnnAssign) -> bool:
    """Return whether it is a container that is not declared Final."""
    makers = {
        "dict",
        "list",
        "set",
        "defaultdict",
        "deque",
        "Counter",
        "OrderedDict",
        "TTLCache",
        "LRUCache",
        "BoundedDict",
    }
    called = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).split(".")[-1] in makers
    built = isinstance(node.value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
    final = isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation)
    return (called or built) and not final
