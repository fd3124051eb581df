"""The commands of containers, compared with a real bash and a real dash."""

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as given_by
from hypothesis import strategies as st

from dynocheck.recipe.references import UNKNOWN, expand, expand_in_script
from dynocheck.recipe.shell import find_processes
from tests.controlplane.plugin import missing
from tests.recipe.scripts import PYTHON, Shell, environments, expected, explains, scripts

Words = list[str | None]


@pytest.fixture(scope="module", params=["bash", "dash"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    name = str(request.param)
    if shutil.which(name) is None:
        missing(f"{name} is not on PATH")
    return Shell(tmp_path_factory.mktemp(name), name)


# Each script, its environment, and the words behind `python3 -m dynamo.vllm` that must be known; None where
# a word cannot be known without running something.
SCRIPTS: list[tuple[str, dict[str, str], list[Words]]] = [
    ("{} --model $M --tp 8", {"M": "a/b"}, [["--model", "a/b", "--tp", "8"]]),
    ('{} "$M" $M $E "$E"', {"M": "a  b", "E": ""}, [["a  b", "a", "b", ""]]),
    ("{} --a=$M x$M", {"M": "1 2"}, [["--a=1", "2", "x1", "2"]]),
    ("TP=8\n{} --tp $TP", {}, [["--tp", "8"]]),
    ("TP=8 PP=$TP\n{} --tp $TP$PP", {}, [["--tp", "88"]]),
    ("export TP=8 PP=2; {} --tp $TP --pp ${PP}", {}, [["--tp", "8", "--pp", "2"]]),
    ("export A=new B=$A; {} $B", {"A": "old"}, [["old"]]),
    ("set -eu\ncd / && export A=b && exec {} --x $A", {}, [["--x", "b"]]),
    ("X=1 {} $X", {"X": "9"}, [["9"]]),
    (
        "{} ${X:-8} ${Y:-8} ${Z-8} ${Q:-a b} \"${Q:-a b}\" '${Q}'",
        {"Y": "4", "Z": ""},
        [["8", "4", "a", "b", "a b", "${Q}"]],
    ),
    (': "${TP:=8}" ${PP:=2}\n{} $TP $PP', {"TP": "4"}, [["4", "2"]]),
    ("{} ${X:+--on} ${Y:+--off} ${M:?none}", {"X": "1", "M": "m"}, [["--on", "m"]]),
    ('{} ${A:-$B} ${C:-${B}x} ${D:-"$B"}', {"B": "b b"}, [["b", "b", "b", "bx", "b b"]]),
    ("{} --a 2>&1 --tp 2 > log --pp 3 | tee x", {}, [["--a", "--tp", "2", "--pp", "3"]]),
    ("> log {} --tp 2 </dev/null", {}, [["--tp", "2"]]),
    ("{} \\\n  --tp 8 \\\n  --pp 2  # of 16\n", {}, [["--tp", "8", "--pp", "2"]]),
    ("{} 'it'\"'\"'s' a\\ b \"q\\\"\\$x\\`\\\\\" a\"b\"'c'", {}, [["it's", "a b", 'q"$x`\\', "abc"]]),
    (
        '{} --j \'{"a": "b"}\' "{\\"k\\": $N}" -O{3} {"a":1}',
        {"N": "3"},
        [["--j", '{"a": "b"}', '{"k": 3}', "-O{3}", "{a:1}"]],
    ),
    ("cat <<EOF > f && {} --tp $A\nx $B ' \"\nEOF\n{} $A", {"A": "1"}, [["--tp", "1"], ["1"]]),
    ("cat <<'EOF' | {} --tp $A\npython3 -m not.this\nEOF\n", {"A": "1"}, [["--tp", "1"]]),
    ("cat <<-EOF\n\ta\n\tEOF\n{} x", {}, [["x"]]),
    ('ARGS="--tp 8 --pp 2"; {} $ARGS', {}, [["--tp", "8", "--pp", "2"]]),
    ("X=5; unset X; {} ${X:-6}", {}, [["6"]]),
    ("(X=1; {} $X); {} $X", {"X": "0"}, [["1"], ["0"]]),
    ("X=1 | cat; {} $X", {"X": "0"}, [["0"]]),
    ("X=1 & wait; {} $X", {"X": "0"}, [["0"]]),
    ("{ X=1; {} $X; }; {} $X", {}, [["1"], ["1"]]),
    ("if true; then TP=8; {} $TP; else {} 4; fi", {}, [["8"], ["4"]]),
    ("if X=1; then {} $X; fi", {}, [["1"]]),
    ("case a in a | b) {} 1;; *) {} 2;; esac", {}, [["1"], ["2"]]),
    ("for i in 1 2; do {} --tp 8; done", {}, [["--tp", "8"]]),
    ("X=2 && {} $X && Y=$X && {} $Y", {}, [["2"], ["2"]]),
    ("{} x || {} y; ! {} z", {}, [["x"], ["y"], ["z"]]),
    ("trap 'kill 0' EXIT; {} a & {} b & wait", {}, [["a"], ["b"]]),
    ("nohup {} x", {}, [["x"]]),
    ('{} "a\\\nb" \'a\\\nb\' "a\nb"', {}, [["ab", "a\\\nb", "a\nb"]]),
    ('{} é "ü$X" $X \'\' ""', {"X": "ö"}, [["é", "üö", "ö", "", ""]]),
    ("${PY:-python3} -m dynamo.vllm x", {}, [["x"]]),
    ('{} $ a$ "$" %x +y @z a!b', {}, [["$", "a$", "$", "%x", "+y", "@z", "a!b"]]),
    ("readonly X=1; {} $X", {}, [["1"]]),
    ("# python3 -m dynamo.vllm no\n{} x#y # z", {}, [["x#y"]]),
    ('if [ -n "$A" ] && [ ! -d /none ]; then :; fi; {} $A', {"A": "a"}, [["a"]]),
    (". /venv/bin/activate || true; {} $A", {"A": "a"}, [["a"]]),
    ("sh -c '{} a b'", {}, [["a", "b"]]),
    ('X=1; export Y=2; sh -ec "{} $X \\$X \\$Y"', {"X": "0"}, [["1", "1", "2"]]),
    ("X=1; sh -c '{} ${X:-9}'", {}, [["9"]]),
    ("X=1 sh -c '{} $X'; {} $X", {"X": "0"}, [["1"], ["0"]]),
    ("timeout 9 sh -c '\nset -e\n{} \\\n  a\n'", {}, [["a"]]),
    ("sh -c \"sh -c '{} a'\"", {}, [["a"]]),
    ('CMD="{} --tp 2"; eval "$CMD"', {}, [["--tp", "2"]]),
    ("X=1; eval {} \\$X", {}, [["1"]]),
    ("echo sh -c '{} a'", {}, []),
    ("eval {} a $(echo b)", {}, [["a", None]]),
    ('eval "{} a $(echo b)"', {}, [[None]]),
    ("sh -c '{} $1' x y", {}, [["y"]]),
    ('sh -c "{} $(echo a)"', {}, [[None]]),
    # Not known: what depends on a command's outcome or output, on files, on the shell's own state.
    ('if [ -z "$TP" ]; then TP=8; fi; {} --tp $TP', {}, [["--tp", None]]),
    ("false && X=1; {} $X", {"X": "0"}, [[None]]),
    ("false || X=1; {} $X", {"X": "0"}, [[None]]),
    ("true || X=2 && {} $X", {"X": "1"}, [[None]]),
    ("for i in 1 2; do {} --r $i; done; {} $i", {"i": "9"}, [["--r", None], [None]]),
    ("while true; do {} $X; X=2; break; done; {} $X", {"X": "1"}, [[None], [None]]),
    ("case $X in a) Y=1;; esac; {} $Y", {"Y": "0"}, [[None]]),
    ("f() { {} $M; M=y; }; M=x; f; {} $M", {"M": "e"}, [[None], [None]]),
    ('run() { "$@" --extra; }; run {} --tp 2', {}, [["--tp", "2", "--extra"]]),
    ("readonly X=1\nX=1 Y=2\n{} $Y", {}, [[None]]),
    ("echo 5 > f; read X < f; {} $X", {"X": "1"}, [[None]]),
    ("X=$(echo 9); {} $X $(echo 3) `echo 4` $((1+2))", {"X": "1"}, [[None, None, None, None]]),
    ("i=1; {} $((i=2)) $i", {}, [[None, None]]),
    ("eval X=7; {} $X", {"X": "1"}, [[None]]),
    ('IFS=,; X=a,b; {} $X "$X"', {}, [[None, "a,b"]]),
    ('{} $NOWHERE "$NOWHERE" --x', {}, [[None, None, "--x"]]),
    ("{} *.nope [x] ? ~/x a=~/y", {}, [[None, None, None, None, None]]),
    ('{} $1 "$@" $# ${A#x} ${#A} ${A%y}', {"A": "xy"}, [[None, None, None, None]]),
    (
        'set -- --tp 2 "a b"; shift; {} "$@" $* $1 "$2" ${1:-8} ${3:-8}',
        {},
        [["2", "a b", None, "2", "a b", "2", "8"]],
    ),
    ("sh -c 'exec {} \"$@\"' sh --tp 2", {}, [["--tp", "2"]]),
    ('N=$(( $(echo "3") + 1 ))\n{} --tp $N --pp 2', {}, [["--tp", None, "--pp", "2"]]),
    ("cat > f.sh <<'EOF'\n{} --tp 2 \"$@\"\nEOF\nsh ./f.sh --pp 2", {}, [["--tp", "2", "--pp", "2"]]),
    ("M=m\nsh <<EOF\n{} --model $M\nEOF", {}, [["--model", "m"]]),
    ("{} ${HOME:-x} ${HF_PATH:-x} ${DYN_PORT:-1}", {}, [[None, None, None]]),
]
SCRIPTS_OF_BASH: list[tuple[str, dict[str, str], list[Words]]] = [
    ("X=a; X+=b; {} $X", {}, [["ab"]]),
    ("[[ $A == v* && ( -n $A ) ]] && {} $A", {"A": "v"}, [["v"]]),
    ("function f { {} $A; }; f", {"A": "v"}, [["v"]]),
    ("declare -x A=1 B=2; {} $A$B", {}, [["12"]]),
    ("time -p {} x", {}, [["x"]]),
    ("exec -a worker {} x", {}, [["x"]]),
    ("{} <<< hi --tp 2 &> log", {}, [["--tp", "2"]]),
    ('{} $"x y" > >(cat) 2>&1', {}, [["x y"]]),
    ("for ((i=0; i<2; i++)); do {} x; done; {} $i", {}, [["x"], [None]]),
    ("i=1; ((i++)); {} $i", {}, [[None]]),
    ('ARGS=(--tp 8); ARGS+=(x); {} "${ARGS[@]}" $ARGS', {}, [["--tp", "8", "x", None]]),
    (
        'A=(\n  --a "b c"  # d\n  "$X" $X ${X:-e}\n)\n{} "${A[@]}"',
        {"X": "y z"},
        [["--a", "b c", "y z", *"yzyz"]],
    ),
    ('A=(); {} "${A[@]}" x; A+=("" y); {} "${A[@]}"', {}, [["x"], ["", "y"]]),
    ("A=(b c); {} ${A[@]}; A=('d e'); {} ${A[@]}", {}, [["b", "c"], [None]]),
    ('A=(b c); B=("${A[@]}" d); {} "${B[@]}"', {}, [["b", "c", "d"]]),
    ('A=(b); if [ -n "$X" ]; then A+=(c d); fi; {} "${A[@]}" e', {}, [["b", None, "e"]]),
    ('A=(b); [ -n "$X" ] && A+=(c); A+=(d); {} "${A[@]}"', {}, [["b", None, "d"]]),
    ('A=(b); if [ -n "$X" ]; then A=(bc); fi; {} "${A[@]}"', {}, [[None]]),
    ('A=(b); for i in 1 2; do A+=(c); done; {} "${A[@]}"', {}, [[None]]),
    ('A=(b); f() { A=(c); }; f; {} "${A[@]}"', {}, [[None]]),
    ('A=(b c); A[0]=d; {} "${A[@]}"', {}, [[None]]),
    ('A=(b c); A=d; {} "${A[@]}"', {}, [[None]]),
    ('A=([1]=b c); {} "${A[@]}"', {}, [[None]]),
    ('A=(b c); unset A; {} "${A[@]}"', {}, [[None]]),
    ('A=($(echo b) c); {} "${A[@]}"', {}, [[None, "c"]]),
    ('A=(b c); {} "x${A[@]}" "${A[*]}" "${A[1]}" ${#A[@]}', {}, [[None, None, None, None]]),
    ('A=(b "c d"); B=(e f); {} ${A[*]} ${B[*]}', {}, [[None, "e", "f"]]),
    ('A=x; A+=(y); {} "${A[@]}"', {}, [[None]]),
    ('{} "${A[@]}"', {"A": "v"}, [[None]]),
    ('A=(${X:=b}); {} $X "${A[@]}"', {}, [[None, "b"]]),
    ('A=(b); (A=(c); {} "${A[@]}"); {} "${A[@]}"', {}, [["c"], ["b"]]),
    ('readonly A=(b); A=(c); {} "${A[@]}"', {}, [[None]]),
    ('A=(sh -c "{} x"); "${A[@]}"', {}, [["x"]]),
    ('declare -a A=(b "c d"); A+=(e); {} "${A[@]}"', {}, [["b", "c d", "e"]]),
    ("declare -A A=([b]=c); {} ${A[@]}", {}, [[None]]),
    ("declare -i N=2*3; {} $N", {}, [[None]]),
    ("printf -v X %s 9; {} $X", {"X": "1"}, [[None]]),
    ("{} {a,b} --x={1..3} $'a\\tb'", {}, [[None, None, None]]),
    ("source ./nothing; {} $X", {"X": "1"}, [[None]]),
]


def _filled(script: str) -> str:
    return script.replace("{} ", f"{PYTHON} ").replace("{}", PYTHON)


@pytest.mark.parametrize(("script", "environment", "known"), SCRIPTS + SCRIPTS_OF_BASH)
def test_known_words_match_a_real_shell(
    shell: Shell, script: str, environment: dict[str, str], known: list[Words]
) -> None:
    if (script, environment, known) in SCRIPTS_OF_BASH and not shell.path.endswith("/bash"):
        return
    said = expected(_filled(script), environment, Path(shell.path).name)
    assert said == [["-m", "dynamo.vllm", *words] for words in known]
    for passed in shell.run(_filled(script), environment):
        assert any(explains(words, passed) for words in said), passed


def _explained(shell: Shell, script: str, environment: dict[str, str]) -> None:
    said = expected(script, environment, Path(shell.path).name)
    for passed in shell.run(script, environment):
        assert any(explains(words, passed) for words in said), (passed, said)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given_by(scripts(), environments)
def test_random_scripts_match_a_real_shell(shell: Shell, script: str, environment: dict[str, str]) -> None:
    _explained(shell, script, environment)


@pytest.mark.verify
@settings(max_examples=2500, deadline=None, suppress_health_check=list(HealthCheck))
@given_by(scripts(depth=4), environments)
def test_many_random_scripts_match_a_real_shell(
    shell: Shell, script: str, environment: dict[str, str]
) -> None:
    _explained(shell, script, environment)


@settings(deadline=2000, suppress_health_check=list(HealthCheck))
@given_by(st.text() | st.text("ab$(){}[]'\"`\\;&|<>\n #=-!*~", max_size=60), environments)
def test_any_text_can_be_parsed(text: str, environment: dict[str, str]) -> None:
    for process in find_processes(["bash", "-c", text], environment):
        assert all(word.text is None or UNKNOWN not in word.text for word in process.words)


@pytest.mark.parametrize(
    "nest", ["$(", "(", "{ ", "if ", "${A:-", '"$(', "while :; do ", "f() ", "case x in x) ", "!"]
)
def test_deep_nesting_is_limited(nest: str) -> None:
    list(find_processes(["bash", "-c", f"{PYTHON} --tp 2\n" + nest * 5000], {}))


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 200_000,
        "x " * 60_000,
        "{,{" * 60_000,
        "$A" * 60_000,
        "a=1;" * 30_000,
        "'" * 60_001,
        "${A:-x} " * 20_000,
    ],
)
def test_long_scripts_are_parsed_quickly(text: str) -> None:
    started = time.process_time()  # a busy machine slows no test down
    list(find_processes(["bash", "-c", text], {"A": "a"}))
    expand(text, {})
    assert time.process_time() - started < 10


def test_nested_scripts_are_followed_quickly() -> None:
    values = {name: f'export X="$X"; sh -c "${below}";' * 1000 for name, below in ("AB", "BC", "CD", "DA")}
    started = time.process_time()
    list(find_processes(["sh", "-c", 'sh -c "$A";' * 1000], values))
    assert time.process_time() - started < 10


def test_only_the_lines_before_a_syntax_error_are_followed() -> None:
    script = f"TP=8\n{PYTHON} --tp $TP\nif oops\n{PYTHON} --tp $TP\n"
    found = [[word.text for word in process.words] for process in find_processes(["sh", "-c", script], {})]
    assert found == [["python3", "-m", "dynamo.vllm", "--tp", "8"], ["-m", "dynamo.vllm", None]]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["python3", "-m", "dynamo.vllm", "--m", "a b", "$X", "*"],
            ["python3", "-m", "dynamo.vllm", "--m", "a b", "$X", "*"],
        ),
        (["bash", "-lc", "x $A"], ["x", "v"]),
        (["bash", "-lc", "--", "x $A"], ["x", "v"]),
        (["sh", "-c", "-e", "-o", "nounset", "x $A"], ["x", "v"]),
        (["bash", "--", "-c", "x $A"], ["bash", "--", "-c", "x $A"]),
        (["/bin/bash", "-e", "-o", "pipefail", "-c", "x $A", "name", "arg"], ["x", "v"]),
        (["/usr/bin/env", "bash", "-c", "x $A"], ["x", "v"]),
        (["/tini", "--", "sh", "-ec", "x $A"], ["x", "v"]),
        (["sh", "-c", "x $(A) '$(SECRET)' \"$(SECRET)\""], ["x", "v", None, None]),
        (
            ["x", "$(A)", "$(SECRET)", "$$(A)", "$(A", "$(NOT A)", None],
            ["x", "v", None, "$(A)", "$(A", "$(NOT A)", None],
        ),
        (["bash", "script.sh", "-c", "x"], ["bash", "script.sh", "-c", "x"]),
        (["sh", "-c"], ["sh", "-c"]),
        ([], []),
    ],
)
def test_scripts_in_command_and_args(argv: Words, words: Words) -> None:
    (found,) = find_processes(argv, {"A": "v", "SECRET": None})
    assert [word.text for word in found.words] == words


def test_the_shell_runs_what_the_kubelet_leaves() -> None:
    found = find_processes(["sh", "-c", "x $(A) $$(A) $(B)"], {"A": "v"})
    assert [[word.text for word in process.words] for process in found] == [
        ["x", "v", None, None],
        ["A"],
        ["B"],
    ]


def test_a_script_that_is_not_a_string_runs_nothing() -> None:
    assert list(find_processes(["sh", "-c", None], {})) == []


def test_variables_from_elsewhere_may_be_set() -> None:
    (found,) = find_processes(["sh", "-c", "x ${A:-default} $(B)"], {}, is_open=True)
    assert [word.text for word in found.words] == ["x", None, None]


@pytest.mark.parametrize(
    ("script", "given"),
    [
        ("show", {}),
        ("A=2; show", {"A": "2"}),
        ("A=1; show", {}),
        ("B=2; show", {}),
        ("export B=2; show", {"B": "2"}),
        ("B=2; export B; show", {"B": "2"}),
        ("B=2 show", {"B": "2"}),
        ("A=2 B=$A show", {"A": "2", "B": "2"}),
        ("A=2 show; B=$A show", {"B": "1"}),
        ("B=$(echo x) show", {"B": None}),
        ("if true; then export B=2; fi; show", {"B": None}),
        ("(A=2); show", {}),
        ("export B=2; unset B; show", {}),
        ("exec env -u NONE show", {}),
        ("set -eua; B=2; show", {"B": "2"}),
    ],
)
def test_the_environment_of_a_command_matches_a_real_shell(
    shell: Shell, script: str, given: dict[str, str | None]
) -> None:
    name = Path(shell.path).name
    processed = find_processes([name, "-c", script.replace("$", "$$")], {"A": "1"})
    *_, last = (process for process in processed if "show" in [word.text for word in process.words])
    assert dict(last.variables) == given
    *_, passed = shell.run(script, {"A": "1"})
    expected_now = {"A": "1", "B": ""} | given
    assert all(text in (None, noted) for text, noted in zip(expected_now.values(), passed, strict=True))


# The rules of Kubernetes for $(NAME): replaced when the container defines it, as it is written when it does
# not; $$ is an escaped $; nothing is replaced twice; whatever is between the parentheses is the name.
@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "a"),
        ("x$(A)y$(A)", "xaya"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$$", "$"),
        ("$", "$"),
        ("a$", "a$"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("$(A)(A)", "a(A)"),
        ("$(B)", "$(A)"),
        ("$($(A))", "$($(A))"),
        ("$(A$(A))", "$(A$(A))"),
        ("$(A B)", "$(A B)"),
        ("$(\nA)", "$(\nA)"),
        ("$(E)", ""),
        ("$(dotted.name-x)", "d"),
        ("$(UNKNOWN)", None),
        ("$(UNKNOWN) $(A)", None),
        ("$$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(POD_IP) $(KUBERNETES_SERVICE_HOST)", None),  # given by the operator, by a Service
    ],
)
def test_references_are_expanded_as_by_the_kubelet(text: str, expanded: str | None) -> None:
    environment = {"A": "a", "B": "$(A)", "E": "", "dotted.name-x": "d", "UNKNOWN": None}
    assert expand(text, environment) == expanded


def test_unknown_references_in_a_script_are_marked() -> None:
    assert expand_in_script("a $(X) $(Y)", {"X": None, "Y": "y"}) == f"a {UNKNOWN} y"
