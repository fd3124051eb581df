"""Trees of recipes with faults, and changes to them that a baseline must not mind."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.checks.judging import FRONTEND, GRAPH, worker

CHECKS = ("parallelism.gpus-match", "engine.flags-known", "storage.claim-declared")
SELECTED = tuple(part for check in CHECKS for part in ("--select", check))
_CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec: {{accessModes: [ReadWriteMany], resources: {{requests: {{storage: 1Ti}}}}}}
"""
_MOUNTS = "volumes: [{{name: v, persistentVolumeClaim: {{claimName: {claim}}}}}]"


@dataclass
class Graph:
    """A graph; a broken one has a finding of each of CHECKS."""

    name: str
    broken: bool = True
    size: int = 4

    def write(self) -> str:
        args = f'--tensor-parallel-size, "{self.size}", --typo' if self.broken else ""
        made = GRAPH.replace("name: g", f"name: {self.name}") + FRONTEND + worker(f"w-{self.name}", args=args)
        mounts = _MOUNTS.format(claim=f"lost-{self.name}")
        return made.replace("      spec:\n", f"      spec:\n        {mounts}\n") if self.broken else made


@dataclass
class Tree:
    """Recipes below a folder: the graphs of each, the claims of all, and what stands above the graphs."""

    recipes: dict[str, list[Graph]]
    claims: list[str] = field(default_factory=lambda: ["weights"])
    header: str = ""

    @property
    def graphs(self) -> list[Graph]:
        return [graph for graphs in self.recipes.values() for graph in graphs]

    def write(self, folder: Path) -> None:
        for name, graphs in self.recipes.items():
            recipe = folder / name / "vllm"
            recipe.mkdir(parents=True, exist_ok=True)
            text = "---\n".join(graph.write() for graph in graphs)
            (recipe / "deploy.yaml").write_text(f"{self.header}{text}")
            claims = "---\n".join(_CLAIM.format(name=claim) for claim in self.claims)
            (recipe / "claims.yaml").write_text(claims)


def grow(graphs: int, recipes: int) -> Tree:
    """A tree of so many broken graphs in so many recipes."""
    tree = Tree({f"m{number}": [] for number in range(recipes)})
    for number in range(graphs):
        tree.recipes[f"m{number % recipes}"].append(Graph(f"g{number}"))
    return tree


def change(tree: Tree, rng: random.Random) -> None:
    """Add what is sound, move, reorder and renumber: each broken graph stays as broken as it is."""
    for graphs in tree.recipes.values():
        graphs.append(Graph(f"sound-{rng.randrange(10**6)}", broken=False))
        rng.shuffle(graphs)
    tree.recipes[f"new-{rng.randrange(10**6)}"] = [Graph("sound", broken=False)]
    tree.recipes = dict(rng.sample(list(tree.recipes.items()), len(tree.recipes)))
    tree.claims += [f"{letter}-cache" for letter in rng.sample("abcxyz", 2)]
    rng.shuffle(tree.claims)
    tree.header = "# a line\n" * rng.randrange(5)
    for graph in tree.graphs:
        graph.size = rng.choice([2, 4, 8])
