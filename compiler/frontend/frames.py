"""TF1 loops as nodes `While`: frames of Enter, Merge, Switch and NextIteration lowered.

A loop of TF1 is a frame. A tensor comes in through Enter; a loop variable is
Merge(Enter, NextIteration), its value in this iteration; Switch(variable, LoopCond) sends it out
through Exit where the condition is false, and into the body where it is true; what the body makes
of it goes back through NextIteration. An Enter without Merge is an invariant.
Source: Yu et al., "Dynamic Control Flow in Large-Scale Machine Learning", EuroSys 2018, section 4.

    Before:  m = Merge(Enter(x), NextIteration(b));  c = LoopCond(f(m));  s = Switch(m, c)
             b = g(s:1, Enter(y));  e = Exit(s:0)
    After:   w = While(x, y, cond=f, body=g);  e = Identity(w:0)

Frames are lowered from the innermost outwards, so a body only holds loops that are nodes already.
A function's arguments are the tensors of the loop under their old names, so nothing is renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Attrs, FuncRef, Node, TensorRef

ENTER = ("Enter", "RefEnter")
MERGE = ("Merge", "RefMerge")
SWITCH = ("Switch", "RefSwitch")
EXIT = ("Exit", "RefExit")
NEXT = ("NextIteration", "RefNextIteration")

Path = tuple[str, ...]  # names of the frames around a tensor, outermost first


def lower_loops(nodes: Mapping[str, Node], functions: dict[str, Function]) -> dict[str, Node]:
    """The nodes with every frame as one node `While`, whose functions join `functions`."""
    result = dict(nodes)
    paths = frame_paths(nodes)
    for path in sorted({p for p in paths.values() if p}, key=lambda p: (-len(p), p)):
        _lower(_Frame.of(result, paths, path), result, paths, functions)
    return result


def frame_paths(nodes: Mapping[str, Node]) -> dict[str, Path]:
    """The frames in which the outputs of each node live, by data and control inputs.

    An Enter is one deeper than its inputs, an Exit one less deep, any other node as deep as the
    deepest of what it reads. All Enters of a frame name the same frame.
    """
    paths: dict[str, Path] = dict.fromkeys(nodes, ())
    frames: dict[str, Path] = {}
    changed = True
    while changed:
        changed = False
        for node in nodes.values():
            names = [*(r.node for r in node.inputs), *node.control_inputs]
            path = max((paths.get(n, ()) for n in names), key=len, default=())
            if node.op in ENTER:
                frame = _frame_name(node)
                if frame in path:
                    raise BadNode(node, f"enters its loop {frame!r} inside of itself")
                frames[frame] = max(frames.get(frame, ()), (*path, frame), key=len)
                path = frames[frame]
            elif node.op in EXIT:
                path = path[:-1]
            if path != paths[node.name]:
                paths[node.name], changed = path, True
    return paths


def _frame_name(enter: Node) -> str:
    try:
        return str(enter.attr("frame_name"))
    except ValueError as error:
        raise BadNode(enter, f"the name of its loop is damaged: {error}") from error


@dataclass(frozen=True)
class _Frame:
    """One loop. variables: its Merges, with the names of Enter and NextIteration of each."""

    path: Path
    members: Mapping[str, Node]
    variables: Sequence[tuple[Node, Node, Node]]
    condition: Node
    aliases: Mapping[TensorRef, TensorRef]

    @classmethod
    def of(cls, nodes: Mapping[str, Node], paths: Mapping[str, Path], path: Path) -> _Frame:
        members = {n: nodes[n] for n in nodes if paths[n] == path}
        conditions = [n for n in members.values() if n.op == "LoopCond"]
        if len(conditions) != 1:
            some = next(iter(members.values()))
            raise BadNode(some, f"its loop {path[-1]!r} has {len(conditions)} conditions, not 1")
        variables = []
        for node in members.values():
            sources = [nodes[r.node] for r in node.inputs if r.node in nodes]
            back = [s for s in sources if s.op in NEXT]
            if node.op in MERGE and back:
                variables.append((node, next(s for s in sources if s.op not in NEXT), back[0]))
        aliases = {TensorRef(n.name, 0): n.inputs[0] for n in members.values() if n.op in ENTER}
        for node in _switches(members, conditions[0]):
            aliases[TensorRef(node.name, 1)] = node.inputs[0]
            aliases[TensorRef(node.name, 0)] = node.inputs[0]
        return cls(path, members, variables, conditions[0], aliases)

    @property
    def arguments(self) -> list[TensorRef]:
        return [TensorRef(merge.name, 0) for merge, _, _ in self.variables]

    def resolved(self, ref: TensorRef) -> TensorRef:
        """The tensor behind Enters, and behind the Switches of the loop's own variables."""
        while ref in self.aliases:
            ref = self.aliases[ref]
        return ref

    def slice(self, results: Iterable[TensorRef]) -> tuple[dict[str, Node], list[TensorRef]]:
        """The nodes of one iteration that the results need, and what they read from outside."""
        own, inner = set(self.arguments), dict[str, Node]()
        outside: dict[TensorRef, None] = {}
        stack = list(results)
        while stack:
            ref = stack.pop()
            if ref in own or ref.node in inner:
                continue
            node = self.members.get(ref.node)
            if node is None:
                outside[ref] = None
                continue
            inputs = tuple(map(self.resolved, node.inputs))
            inner[ref.node] = Node(node.name, node.op, inputs, node.attrs, node.control_inputs)
            stack += [*inputs, *self._before(node)]
        return {n: inner[n] for n in self.members if n in inner}, list(outside)

    def _before(self, node: Node) -> list[TensorRef]:
        """The control inputs of the same iteration: what tells the branch of a constant."""
        refs = [TensorRef(n, 0) for n in node.control_inputs if n in self.members]
        plain = (*ENTER, *NEXT, "LoopCond")
        return [r for r in refs if r not in self.aliases and self.members[r.node].op not in plain]


def _switches(members: Mapping[str, Node], condition: Node) -> list[Node]:
    return [n for n in members.values() if n.op in SWITCH and n.inputs[1].node == condition.name]


def _lower(
    frame: _Frame, nodes: dict[str, Node], paths: dict[str, Path], functions: dict[str, Function]
) -> None:
    """Replace the frame's nodes by one While, and each Exit by an Identity of its output."""
    condition = [frame.resolved(frame.condition.inputs[0])]
    body = [frame.resolved(back.inputs[0]) for _, _, back in frame.variables]
    cond_nodes, cond_reads = frame.slice(condition)
    body_nodes, body_reads = frame.slice(body)
    reads = list(dict.fromkeys([*cond_reads, *body_reads]))
    arguments = (*frame.arguments, *reads)
    name = f"{frame.path[-1]}/loop"
    parts = {"cond": (cond_nodes, condition), "body": (body_nodes, [*body, *reads])}
    for part, (inner, results) in parts.items():
        made = Function(f"{name}/{part}", tuple(inner.values()), arguments, tuple(results))
        functions[made.name] = made
    attrs = {part: FuncRef(f"{name}/{part}", Attrs({})) for part in parts}
    starts = [_start(frame, enter, merge) for merge, enter, _ in frame.variables]
    loop = Node(name, "While", (*starts, *reads), attrs)
    outer = frame.path[:-1]
    position = {ref: i for i, ref in enumerate(frame.arguments)}
    for gone in frame.members:
        del nodes[gone]
    nodes[name], paths[name] = loop, outer
    for node in list(nodes.values()):
        if node.op in EXIT and node.inputs[0].node in frame.members:
            index = position[frame.resolved(node.inputs[0])]
            nodes[node.name] = Node(node.name, "Identity", (TensorRef(name, index),), {})


def _start(frame: _Frame, enter: Node, merge: Node) -> TensorRef:
    if enter.op not in ENTER:
        raise BadNode(merge, f"a loop variable that starts from {enter.op}, not from Enter")
    return frame.resolved(enter.inputs[0])
