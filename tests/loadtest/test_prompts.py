"""What is asked: made from a seed, or read from a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck.core.errors import UsageError
from dynocheck.loadtest.prompts import generate_prompts, read


def test_made_prompts_begin_unlike_and_are_the_same_again() -> None:
    prompts = generate_prompts(seed=7, tokens=100)
    texts = [str(prompts(number, 1.0).content) for number in range(500)]
    assert len({tuple(text.split()[:8]) for text in texts}) == 500
    assert texts == [generate_prompts(7, 100)(number, 1.0).content for number in range(500)]
    assert texts[0] != generate_prompts(8, 100)(0, 1.0).content


def test_their_length_follows_the_tokenizer() -> None:
    assert len(str(generate_prompts(0, 128)(0, 1.0).content).split()) == 128
    assert len(str(generate_prompts(0, 128)(0, 2.0).content).split()) == 64
    assert len(str(generate_prompts(0, 1)(0, 50.0).content).split()) == 1


def test_a_prompt_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("Why?\n\nWhat for?\n")
    prompts, many, traced = read(str(file), 0)
    assert (many, traced) == (2, False)
    assert [prompts(number, 1.0).content for number in range(3)] == ["Why?", "What for?", "Why?"]


def write(folder: Path, *rows: object) -> str:
    """A file with each of these as a line of JSON."""
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "prompts.jsonl")


def test_json_lines(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    rows = [{"prompt": "a", "max_tokens": 7}, {"text": "b"}, {"messages": messages}]
    prompts, many, traced = read(write(tmp_path, *rows), 0)
    assert (many, traced) == (3, False)
    assert prompts(0, 1.0).max_tokens == 7
    assert [prompts(number, 1.0).content for number in range(3)] == ["a", "b", messages]


def test_a_mooncake_trace(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 3000, "input_length": 1000, "output_length": 9, "hash_ids": [1, 3]},
        {"timestamp": 1000, "input_length": 1024, "output_length": 5, "hash_ids": [1, 2]},
    ]
    prompts, many, traced = read(write(tmp_path, *rows), 0)
    assert (many, traced) == (2, True)
    first, second = prompts(0, 1.0), prompts(1, 1.0)
    assert [prompt.due_s for prompt in (first, second)] == [0.0, 2.0]
    assert [prompt.max_tokens for prompt in (first, second)] == [5, 9]
    words = [str(prompt.content).split() for prompt in (first, second)]
    assert [len(each) for each in words] == [1024, 1000]
    assert words[0][:512] == words[1][:512]  # the block that both begin with
    assert words[0][512:600] != words[1][512:600]


@pytest.mark.parametrize(
    "content",
    [
        *("", "\n\n", '{"prompt": 1}', '{"x": 1}', "{not json", '{"prompt": "a"}\nplain'),
        *('{"prompt": "a", "max_tokens": 0}', '{"messages": ["a"]}', b"\xff\xfe", "{" * 20_000),
        '{"timestamp": 0, "input_length": -1, "output_length": 1, "hash_ids": []}',
        '{"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [1]}\n{"prompt": "a"}',
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "prompts"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=str(file)):
        read(str(file), 0)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=str(path)):
            read(str(path), 0)
